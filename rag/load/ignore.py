"""Ignore rules as Git has them: files such as `.hearthignore` in the folders walked, and patterns given by the user."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from decoder.errors import UsageError

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

HEARTHIGNORE, GITIGNORE = ".hearthignore", ".gitignore"
MOST_BYTES = 1 << 20
_STEP = "reading ignore rules"


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules that hold in one folder: its own file's last, so that they can take back those of folders above.

    Attributes:
        layers: the folder that the patterns are relative to, and the patterns.
    """

    layers: tuple[tuple[Path, GitIgnoreSpec], ...] = ()

    def entering(self, folder: Path, names: Sequence[str], rule_files: Sequence[str]) -> Rules:
        """The rules within `folder`, which holds files of these names; raises UsageError."""
        found = [read_rules(folder / name) for name in rule_files if name in names]
        if not found:
            return self
        return Rules((*self.layers, *((folder, rules) for rules in found)))

    def ignore(self, path: Path, is_folder: bool) -> bool:
        """Whether the last pattern that matches says so; a folder that is ignored is not entered."""
        for folder, rules in reversed(self.layers):
            name = path.relative_to(folder).as_posix()
            decided = rules.check_file(f"{name}/" if is_folder else name).include
            if decided is not None:
                return decided
        return False


def patterns(lines: Iterable[str], origin: str) -> GitIgnoreSpec:
    """Git's patterns, compiled; raises UsageError when one is malformed, with `origin` named."""
    from pathspec import GitIgnoreSpec

    try:
        return GitIgnoreSpec.from_lines(lines)
    except ValueError as error:
        raise UsageError(_STEP, f"{origin}: {error}", "Write patterns as in a .gitignore") from error


def read_rules(path: Path) -> GitIgnoreSpec:
    """The patterns in a file; raises UsageError when it cannot be read or is larger than MOST_BYTES."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(_STEP, f"{path} cannot be read: {error.strerror}", "Check its permissions") from error
    if len(data) > MOST_BYTES:
        raise UsageError(_STEP, f"{path} is larger than {MOST_BYTES} bytes", "Make it shorter")
    return patterns(data.decode("utf-8-sig", "replace").splitlines(), str(path))
