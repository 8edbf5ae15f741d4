"""Searching at a database server, whose own indexes do the work.

`upkeep` says what each write takes along for it. `index.ServerIndex` answers as the index of an
embedded vault does. It consists of `meaning` (vectors), `words` (full text, whose table is in
`statements`) and `frequencies` (how common words are).
"""
