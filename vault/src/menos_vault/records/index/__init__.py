"""The search index of an embedded vault: derived from the records, kept in step with them.

`local.LocalIndex` is the index. It consists of `tables` (SQLite: words, and what filters look at),
`matrix` (vectors) and `ranking` (one order from both), and can always be made again from the
records, which alone are the truth.
"""
