"""A `Where`, and which versions of a passage a generation sees, as Qdrant's filters: they hold inside the query.

A passage's payload has `born`, the number of the generation that it came with, and `died`, that of the one it left
with, which is absent while it is alive.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rag.filters import FIELDS, Access, Condition, Where
from rag.store import fact
from rag.types import Value

if TYPE_CHECKING:
    from qdrant_client.models import Filter


def visible(number: int, where: Where | None = None) -> Filter:
    """What a reader of generation `number` sees of the passages that `where` lets through."""
    from qdrant_client import models

    unseen: list[Any] = [_range("born", gt=number), _range("died", lte=number)]
    needed: list[Any] = []
    for condition in where.conditions if where else ():
        needed += _needed(condition)
        unseen += [_equals(condition.field, condition.none_of)] if condition.none_of else []
    if where and where.access is not None:
        needed += _access(where.access)
    return models.Filter(must=needed or None, must_not=unseen)


def born_after(number: int) -> Filter:
    """What came with a generation later than `number`."""
    from qdrant_client import models

    return models.Filter(must=[_range("born", gt=number)])


def died_after(number: int) -> Filter:
    """What left with a generation later than `number`."""
    from qdrant_client import models

    return models.Filter(must=[_range("died", gt=number)])


def died_by(number: int) -> Filter:
    """What left with generation `number` or before."""
    from qdrant_client import models

    return models.Filter(must=[_range("died", lte=number)])


def seen_by(number: int, key: str, values: Sequence[str]) -> Filter:
    """What a reader of generation `number` sees with one of `values` at `key` of the payload."""
    from qdrant_client import models

    found = visible(number)
    return models.Filter(must=[_any(key, values)], must_not=found.must_not)


def born_in(number: int, key: str = "", values: Sequence[str] = ()) -> Filter:
    """What came with generation `number` itself, all of it or what has one of `values` at `key`."""
    from qdrant_client import models

    also = [_any(key, values)] if key else []
    return models.Filter(must=[_range("born", gte=number, lte=number), *also])


def _access(access: Access) -> list[Any]:
    from qdrant_client import models

    open_to: list[Any] = [models.IsEmptyCondition(is_empty=models.PayloadField(key="readers"))]
    if access.principals:
        open_to.append(_any("readers", access.principals))
    tenant = models.FieldCondition(key="tenant", match=models.MatchValue(value=access.tenant))
    return [tenant, models.Filter(should=open_to)]


def _needed(condition: Condition) -> list[Any]:
    needed = [_equals(condition.field, condition.any_of)] if condition.any_of else []
    if condition.at_least is not None or condition.at_most is not None:
        key = condition.field if condition.field in FIELDS else f"metadata.{condition.field}"
        needed.append(_range(key, gte=condition.at_least, lte=condition.at_most))
    return needed


def _equals(field: str, values: Sequence[Value]) -> Any:
    """Equality asks the one indexed list of "field=value" texts, so that no field needs an index of its own."""
    if field == "source":
        return _any("source", [str(value) for value in values])
    return _any("facts", [fact(field, value) for value in values])


def _any(key: str, values: Sequence[str]) -> Any:
    from qdrant_client import models

    return models.FieldCondition(key=key, match=models.MatchAny(any=list(values)))


def _range(key: str, **bounds: float | None) -> Any:
    from qdrant_client import models

    return models.FieldCondition(key=key, range=models.Range(**bounds))
