"""A `Where` as the filter of Qdrant's engine in process.

Equality goes through one indexed list of "field=value" texts (`rag.store.facts`), since an unindexed field costs the
engine a look at every payload; bounds go through the fields themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rag.filters import FIELDS, Access, Condition, Where
from rag.store import fact

if TYPE_CHECKING:
    import qdrant_edge


def edge_filter(where: Where | None, gone: Sequence[str] = ()) -> qdrant_edge.Filter | None:
    """What a search in one shard may see, `gone` being sources that do not count there; None for everything."""
    from qdrant_edge import Filter

    must: list[Any] = []
    must_not: list[Any] = [_any("source", gone)] if gone else []
    for condition in where.conditions if where else ():
        must += _wanted(condition)
        must_not += _unwanted(condition)
    if where is not None and where.access is not None:
        must += _visible(where.access)
    return Filter(must=must or None, must_not=must_not or None) if must or must_not else None


def from_sources(sources: Sequence[str], gone: Sequence[str] = ()) -> qdrant_edge.Filter:
    """The passages of some documents."""
    from qdrant_edge import Filter

    return Filter(must=[_any("source", sources)], must_not=[_any("source", gone)] if gone else None)


def _any(field: str, values: Sequence[str]) -> Any:
    from qdrant_edge import FieldCondition, MatchAny

    return FieldCondition(field, match=MatchAny(list(values)))


def _wanted(condition: Condition) -> list[Any]:
    from qdrant_edge import FieldCondition, RangeFloat

    found: list[Any] = []
    if condition.any_of and condition.field == "source":
        found.append(_any("source", [str(value) for value in condition.any_of]))
    elif condition.any_of:
        found.append(_any("facts", [fact(condition.field, value) for value in condition.any_of]))
    if condition.at_least is not None or condition.at_most is not None:
        key = condition.field if condition.field in FIELDS else f"metadata.{condition.field}"
        found.append(FieldCondition(key, range=RangeFloat(gte=condition.at_least, lte=condition.at_most)))
    return found


def _unwanted(condition: Condition) -> list[Any]:
    if not condition.none_of:
        return []
    if condition.field == "source":
        return [_any("source", [str(value) for value in condition.none_of])]
    return [_any("facts", [fact(condition.field, value) for value in condition.none_of])]


def _visible(access: Access) -> list[Any]:
    from qdrant_edge import FieldCondition, Filter, IsEmptyCondition, MatchValue

    open_to_all = IsEmptyCondition("readers")
    mine = [_any("readers", access.principals)] if access.principals else []
    tenant = FieldCondition("tenant", match=MatchValue(access.tenant))
    return [tenant, Filter(should=[open_to_all, *mine])]
