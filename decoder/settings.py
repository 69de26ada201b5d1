"""Settings: HEARTH_* variables over `hearth.toml` over defaults. Each room adds its own section.

A room's section is a frozen dataclass whose fields have defaults; `section("rag", RagSettings)` reads
`[rag]` of the file and HEARTH_RAG_<FIELD> of the environment. Secrets are read from the environment only.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, TypeVar

from decoder.errors import SettingsError

S = TypeVar("S")
STEP = "reading settings"
SECRET_FIELDS = frozenset({"api_key", "pdf_passwords"})


@dataclass(frozen=True, slots=True)
class DecoderSettings:
    """Section `[decoder]`: which decoder the other rooms talk to.

    Attributes:
        base_url: an OpenAI-compatible server, such as http://127.0.0.1:8000/v1; empty means none is set.
        model: the model's name there; empty or "default" means the first that it lists, or what is promoted there.
        preset: vllm, openai, ollama or llamacpp; empty means it is found out.
        api_key: HEARTH_DECODER_API_KEY, never in the file.
        timeout: seconds to wait for the first token.
    """

    base_url: str = ""
    model: str = ""
    preset: str = ""
    api_key: str = dataclasses.field(default="", repr=False)
    timeout: float = 120.0


def home() -> Path:
    """Where data lives: HEARTH_HOME, else $XDG_DATA_HOME/hearth, else ~/.local/share/hearth."""
    if explicit := os.environ.get("HEARTH_HOME"):
        return Path(explicit).expanduser()
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser() / "hearth"


def settings_file() -> Path | None:
    """HEARTH_SETTINGS, else ./hearth.toml, else hearth.toml in `home()`; None when there is none."""
    if explicit := os.environ.get("HEARTH_SETTINGS"):
        path = Path(explicit).expanduser()
        if not path.is_file():
            raise SettingsError(STEP, f"HEARTH_SETTINGS names {path}, which is not a file", "Mend or unset it")
        return path
    return next((p for p in (Path("hearth.toml"), home() / "hearth.toml") if p.is_file()), None)


def section(name: str, cls: type[S]) -> S:
    """One room's settings: environment over file over the defaults of the dataclass `cls`.

    Raises:
        SettingsError: the file is not TOML, a key is unknown (the nearest known one is named), or a
            value has the wrong type.
    """
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]  # cls is a dataclass
    values = _file_values(name, fields)
    for field_name in fields:
        variable = f"HEARTH_{name}_{field_name}".upper()
        if variable in os.environ:
            values[field_name] = (os.environ[variable], variable)
    hints = _hints(cls)  # type: ignore[arg-type]  # mypy does not hold a class for hashable
    return cls(**{key: _convert(raw, hints[key], origin) for key, (raw, origin) in values.items()})


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _file_values(name: str, fields: Mapping[str, Any]) -> dict[str, tuple[Any, str]]:
    path = settings_file()
    if path is None:
        return {}
    try:
        known = path.stat()
        table = _tables(path.absolute(), known.st_mtime_ns, known.st_size).get(name, {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(STEP, f"{path} cannot be read: {error}", "Mend the file") from error
    if not isinstance(table, dict):
        raise SettingsError(STEP, f"{name} in {path} is not a table", f"Write it as [{name}]")
    for key in table:
        if key in SECRET_FIELDS:
            remedy = f"Set HEARTH_{name.upper()}_{key.upper()} in the environment"
            raise SettingsError(STEP, f"{path} holds the secret {name}.{key}", remedy)
        if key not in fields:
            near = difflib.get_close_matches(key, fields, 1)
            remedy = f"Did you mean {near[0]}?" if near else f"Known keys: {', '.join(fields)}"
            raise SettingsError(STEP, f"{name}.{key} in {path} is unknown", remedy)
    return {key: (value, f"{name}.{key} in {path}") for key, value in table.items()}


@lru_cache(maxsize=8)
def _tables(path: Path, mtime_ns: int, size: int) -> Mapping[str, Any]:
    """Parsed once as long as the file stays the same; nobody changes what is given."""
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _convert(raw: Any, kind: type, origin: str) -> Any:
    """`raw` as `kind` (str, int, float, bool or Path). Secrets are not repeated in the error."""
    try:
        if kind is bool and isinstance(raw, str):
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[raw.lower()]
        if kind in (int, float) and isinstance(raw, (str, int, float)) and not isinstance(raw, bool):
            return kind(raw)
        if kind is Path and isinstance(raw, str):
            return Path(raw).expanduser()
        if isinstance(raw, kind):
            return raw
        raise ValueError(raw)
    except (ValueError, KeyError) as error:
        raise SettingsError(STEP, f"{origin} is not a valid {kind.__name__}", f"Give a {kind.__name__}") from error
