"""The plugin ``search``: finds passages by meaning.

Its task is in :mod:`menos_search.tasks`, its hook in :mod:`menos_search.plugin`.
"""
