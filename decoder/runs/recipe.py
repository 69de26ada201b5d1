"""Recipes are read from YAML strictly: each section a frozen dataclass, an unknown key refused with the nearest known.

A room has a dataclass of its own for what its recipes say, and a folder of recipes that ship; this file knows neither.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import re
import types
import typing
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from decoder.errors import RecipeError
from decoder.yaml_data import BadYaml, read_yaml

S = TypeVar("S")
STEP = "reading the recipe"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def read_values(path: str | Path, overrides: Sequence[str], shipped: Path) -> dict[str, Any]:
    """A recipe's keys as they stand in the file, overrides (`key=value`) put in.

    A name without a folder and an ending is one of the recipes in the folder `shipped`. Raises RecipeError.
    """
    values = _read(_find(path, shipped))
    for override in overrides:
        _override(values, override)
    return values


def make(cls: type[S], values: Mapping[str, Any]) -> S:
    """The dataclass `cls`, which has a field `name`, from plain data. Raises RecipeError."""
    recipe = _section(cls, values, "")
    if not NAME.fullmatch(recipe.name):
        raise RecipeError(STEP, f"name {recipe.name!r} is no name", "Use letters, digits, '-', '_' and '.'")
    return typing.cast(S, recipe)


def make_section(cls: type[S], values: Mapping[str, Any], where: str) -> S:
    """A section, the dataclass `cls`, from plain data; `where` is what its keys are called by. Raises RecipeError."""
    return typing.cast(S, _section(cls, values, where))


def as_plain(recipe: Any) -> dict[str, Any]:
    """The recipe as data that `make` reads back."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(recipe), default=str))
    return plain


def fingerprint(recipe: Any, leaving_out: Collection[str]) -> str:
    """SHA-256 of everything that the recipe says but the keys `leaving_out`, in hexadecimal."""
    said = {key: value for key, value in as_plain(recipe).items() if key not in leaving_out}
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()


def check_known(key: str, known: Sequence[str], where: str) -> None:
    """Refuse a key that is not among `known`, naming the nearest. Raises RecipeError."""
    if key in known:
        return
    near = difflib.get_close_matches(key, known, 1, cutoff=0.5)
    remedy = f"Did you mean {near[0]}?" if near else f"Known keys: {', '.join(sorted(known)[:40])}"
    raise RecipeError(STEP, f"{where}{key} is unknown", remedy)


def _find(path: str | Path, folder: Path) -> Path:
    given = Path(path).expanduser()
    shipped = folder / f"{path}.yaml"
    if not given.is_file() and given.parent == Path() and shipped.is_file():
        return shipped
    if not given.is_file():
        known = sorted(p.stem for p in folder.glob("*.yaml"))
        near = difflib.get_close_matches(given.stem, known, 1)
        remedy = f"Did you mean {near[0]}?" if near else f"Recipes that ship: {', '.join(known)}"
        raise RecipeError(STEP, f"there is no file {path}", remedy)
    return given


def _read(path: Path) -> dict[str, Any]:
    try:
        values = read_yaml(path.read_text(encoding="utf-8")).plain()
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(STEP, f"{path} cannot be read: {error}", "Mend the file") from error
    except BadYaml as error:
        raise RecipeError(STEP, f"{path}, line {error.line}: {error}", "Mend the line") from error
    if not isinstance(values, dict):
        raise RecipeError(STEP, f"{path} holds no keys", "Write `key: value` lines")
    return values


def _override(values: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    if not equals or not path:
        raise RecipeError(STEP, f"--set {override!r} is no key=value", "Write training.max_steps=20")
    *parents, last = path.strip().split(".")
    target = values
    for parent in parents:
        inner = target.get(parent)
        if inner is None:
            inner = target[parent] = {}
        if not isinstance(inner, dict):
            raise RecipeError(STEP, f"--set {path}: {parent} has no keys", "Name a key of a section")
        target = inner
    try:
        target[last] = read_yaml(text).plain()
    except BadYaml as error:
        raise RecipeError(STEP, f"--set {path}: {error}", "Quote the value") from error


def _section(cls: type, values: Any, where: str) -> Any:
    if not isinstance(values, Mapping):
        raise RecipeError(STEP, f"{where.rstrip('.')} is no section", "Indent its keys below it")
    fields = {field.name: field for field in dataclasses.fields(cls)}
    hints = typing.get_type_hints(cls)
    for key in values:
        check_known(key, list(fields), where)
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in values:
            raise RecipeError(STEP, f"{where}{name} is missing", "Add it")
    return cls(**{key: convert(value, hints[key], where + key) for key, value in values.items()})


def convert(value: Any, hint: Any, where: str) -> Any:
    """`value` as the type `hint` says: scalar, Literal, tuple of scalars of one kind, mapping, section, or one or None.

    Raises RecipeError.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _section(hint, value, where + ".")
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        return convert(value, next(a for a in arguments if a is not type(None)), where)
    if origin is typing.Literal:
        check_choice(value, arguments, where)
        return value
    if origin is tuple and isinstance(value, (list, tuple)):
        return tuple(_scalar(item, arguments[0], where) for item in value)
    if isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(value, Mapping):
        return dict(value)
    return _scalar(value, hint, where)


def check_choice(value: Any, choices: Sequence[Any], where: str) -> None:
    """Refuse a value that is none of `choices`, naming the nearest. Raises RecipeError."""
    if value not in choices:
        near = difflib.get_close_matches(str(value), [str(choice) for choice in choices], 1)
        remedy = f"Did you mean {near[0]}?" if near else f"Choose one of {', '.join(map(str, choices))}"
        raise RecipeError(STEP, f"{where} is {value!r}", remedy)


def _scalar(value: Any, hint: Any, where: str) -> Any:
    if hint is float and isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value):
        return float(value)  # YAML 1.1 reads 1e-4 as text
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is str and value is None:
        return ""
    if isinstance(hint, type) and isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    kind = getattr(hint, "__name__", str(hint))
    raise RecipeError(STEP, f"{where} is {value!r}, not of kind {kind}", f"Give a {kind}")
