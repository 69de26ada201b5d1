"""Servers that were started here and answer: where an adapter can be promoted."""

from __future__ import annotations

from dataclasses import dataclass

from decoder.settings import home


@dataclass(frozen=True, slots=True)
class Served:
    """A server.

    Attributes:
        base: the name under which its base model is asked for.
        folder: the base model, a folder or a hub name.
        models: what it serves, the base first.
    """

    name: str
    base: str
    folder: str
    models: tuple[str, ...]


def running() -> list[Served]:
    """Those that answer now. Nothing is asked where none was ever started."""
    if not (home() / "servers").is_dir():
        return []
    from decoder.server_status import servers

    found = [entry for entry in servers() if entry.condition in ("healthy", "unsupervised") and entry.models]
    return [Served(entry.name, entry.models[0], entry.model, entry.models) for entry in found]
