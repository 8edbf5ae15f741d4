"""The plugin ``search``: finds passages by meaning and by words.

Its tasks are in :mod:`menos_search.tasks`, their hook in :mod:`menos_search.plugin`.
"""
