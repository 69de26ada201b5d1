"""A `Where` as Qdrant's filter. Server and in-process engine name the parts alike, so one module serves both.

Equality goes through the list of "field=value" texts that a payload holds (`rag.store.facts`), bounds through the
fields themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rag.filters import FIELDS, Access, Condition, Where
from rag.store import fact
from rag.types import Value


def qdrant_filter(where: Where | None) -> Any:
    """For qdrant-client; None for everything."""
    from qdrant_client import models

    def one_of(key: str, values: Sequence[str]) -> Any:
        return models.FieldCondition(key=key, match=models.MatchAny(any=list(values)))

    def between(key: str, low: float | None, high: float | None) -> Any:
        return models.FieldCondition(key=key, range=models.Range(gte=low, lte=high))

    def empty(key: str) -> Any:
        return models.IsEmptyCondition(is_empty=models.PayloadField(key=key))

    return _filter(where, models.Filter, one_of, between, empty)


def edge_filter(where: Where | None) -> Any:
    """For qdrant-edge; None for everything."""
    from qdrant_edge import FieldCondition, Filter, IsEmptyCondition, MatchAny, RangeFloat

    def one_of(key: str, values: Sequence[str]) -> Any:
        return FieldCondition(key, match=MatchAny(list(values)))

    def between(key: str, low: float | None, high: float | None) -> Any:
        return FieldCondition(key, range=RangeFloat(gte=low, lte=high))

    return _filter(where, Filter, one_of, between, IsEmptyCondition)


def _filter(where: Where | None, group: Any, one_of: Any, between: Any, empty: Any) -> Any:
    if not where:
        return None
    must: list[Any] = []
    must_not: list[Any] = []
    for condition in where.conditions:
        must += [_equal(condition, condition.any_of, one_of)] if condition.any_of else []
        must_not += [_equal(condition, condition.none_of, one_of)] if condition.none_of else []
        if condition.at_least is not None or condition.at_most is not None:
            key = condition.field if condition.field in FIELDS else f"metadata.{condition.field}"
            must.append(between(key, condition.at_least, condition.at_most))
    if where.access is not None:
        must += _visible(where.access, group, one_of, empty)
    return group(must=must or None, must_not=must_not or None)


def _equal(condition: Condition, values: Sequence[Value], one_of: Any) -> Any:
    if condition.field == "source":
        return one_of("source", [str(value) for value in values])
    return one_of("facts", [fact(condition.field, value) for value in values])


def _visible(access: Access, group: Any, one_of: Any, empty: Any) -> list[Any]:
    mine = [one_of("readers", access.principals)] if access.principals else []
    return [one_of("tenant", [access.tenant]), group(should=[empty("readers"), *mine])]
