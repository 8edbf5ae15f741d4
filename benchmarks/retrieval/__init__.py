"""The retrieval benchmark: see ``__main__``."""
