"""What embedding models want in front of a text, by their makers' model cards."""

from typing import NamedTuple


class Prefixes(NamedTuple):
    """Words in front of each document and of each query."""

    document: str = ""
    query: str = ""


_SEARCHING = "Represent this sentence for searching relevant passages: "

# By how a model's name begins; the longer name goes first where one begins like another.
_KNOWN = {
    "nomic-embed-text": Prefixes("search_document: ", "search_query: "),
    "mxbai-embed-large": Prefixes(query=_SEARCHING),
    "snowflake-arctic-embed2": Prefixes(query="query: "),
    "snowflake-arctic-embed": Prefixes(query=_SEARCHING),
    "bge-large": Prefixes(query=_SEARCHING),
    "embeddinggemma": Prefixes("title: none | text: ", "task: search result | query: "),
    "qwen3-embedding": Prefixes(
        query="Instruct: Given a web search query, retrieve relevant passages that answer the "
        "query\nQuery:"
    ),
}


def prefixes_of(model: str) -> Prefixes:
    """Return a model's prefixes; none for one that is not known. Its owner and tag do not count."""
    name = model.rpartition("/")[2].lower()
    return next((known for begin, known in _KNOWN.items() if name.startswith(begin)), Prefixes())
