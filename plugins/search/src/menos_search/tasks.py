"""The tasks of the plugin ``search``. Nothing heavy is imported before one runs."""

from __future__ import annotations

from menos_search import fields
from menos_search.results import Found, Similar, result
from menos_search.search import search
from menos_vault import Filters, open_vault


def semantic_search(
    query: fields.Query,
    limit: fields.Limit = 10,
    mode: fields.Mode = "hybrid",
    offset: fields.Offset = 0,
    group_by: fields.GroupBy = "passage",
    content_type: fields.ContentTypes = None,
    tags: fields.Tags = None,
    author: fields.Authors = None,
    language: fields.Languages = None,
    published_from: fields.PublishedFrom = None,
    published_before: fields.PublishedBefore = None,
    content_id: fields.ContentIds = None,
    explain: fields.Explain = False,
) -> Found:
    """Find the passages that answer a query best, by meaning and by words, the best first.

    An empty vault has no results; that is no error. The ``url`` of a passage of a YouTube video
    leads to the second at which the words of the query are spoken.

    Raises:
        EmbeddingMismatch: the vault's vectors are of another model (``embedding_mismatch``).
        VaultError: the model or the vault could not do it; its code says why.
    """
    by_content = group_by == "content"
    hits = search(
        open_vault(),
        query,
        mode=mode,
        limit=limit,
        offset=offset,
        by_content=by_content,
        filters=Filters(
            content_ids=content_id or [],
            content_types=content_type or [],
            authors=author or [],
            languages=language or [],
            tags=tags or [],
            published_from=published_from,
            published_before=published_before,
        ),
    )
    results = [result(hit, mode, by_content=by_content, explain=explain) for hit in hits]
    return {"query": query, "results": results}


def similar_content(
    content_id: fields.ContentId, limit: fields.Limit = 10, offset: fields.Offset = 0
) -> Similar:
    """Find other contents that are about the same as this one, the most alike first.

    A content that has not been embedded has no results. ``score`` is the cosine similarity of a
    content's best passage with the mean of this one's.

    Raises:
        ContentNotFound: there is no content with this id (``content_not_found``).
        VaultError: the vault could not do it; its code says why.
    """
    hits = open_vault().records.similar(content_id, limit=limit, offset=offset)
    results = [result(hit, "semantic", by_content=False, explain=False) for hit in hits]
    return {"content_id": content_id, "results": results}
