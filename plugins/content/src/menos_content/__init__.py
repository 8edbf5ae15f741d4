"""The plugin ``content``: stores texts, splits and embeds them, summarises them.

Its tasks are in :mod:`menos_content.tasks`, its hooks in :mod:`menos_content.plugin`.
"""
