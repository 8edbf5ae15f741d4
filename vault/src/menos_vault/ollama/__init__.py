"""Ollama: a server that runs models, for embeddings here and for summaries in `menos_content`."""

from menos_vault.ollama.server import OllamaServer

__all__ = ["OllamaServer"]
