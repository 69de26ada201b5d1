"""Is every room ours? Another package called `agents` must be a loud error, never a silent shadow.

`check` runs at the start of every `hearth` command: it looks where each room would be imported from, and imports none.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from decoder.errors import UsageError

ROOMS = ("decoder", "prompts", "rag", "agents", "alignment", "generators", "ui")
HOUSE = Path(__file__).resolve().parents[2]
"""The folder that holds the rooms: the checkout, or site-packages."""


class ForeignRoom(UsageError):
    """One of the house's package names is taken by somebody else's package, or its own is missing."""


@dataclass(frozen=True, slots=True)
class Room:
    """Where a room is imported from; `origin` is None when it is not found at all."""

    name: str
    origin: Path | None

    @property
    def ours(self) -> bool:
        """Whether it stands inside the house."""
        return self.origin is not None and self.origin == HOUSE / self.name / "__init__.py"


def find(name: str) -> Room:
    """Where `import name` would look, without importing it."""
    spec = importlib.util.find_spec(name)
    return Room(name, Path(spec.origin).resolve() if spec is not None and spec.origin else None)


def check() -> None:
    """Raise ForeignRoom when a room would come from outside the house."""
    for name in ROOMS:
        room = find(name)
        if not room.ours:
            where = f"comes from {room.origin.parent}" if room.origin else "is not there"
            remedy = f"Uninstall or rename the other package called {name}, or give Hearth an environment of its own"
            raise ForeignRoom("opening the house", f"the room `{name}` {where}, not from {HOUSE}", remedy)


def sharers() -> dict[str, tuple[str, ...]]:
    """Rooms that more than one installed distribution claims, and those distributions. Reads every RECORD: slow."""
    from importlib.metadata import packages_distributions

    claims = packages_distributions()
    claimed = {name: tuple(sorted(set(claims.get(name, ())))) for name in ROOMS}
    return {name: owners for name, owners in claimed.items() if len(owners) > 1}
