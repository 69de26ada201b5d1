"""Where prompts are found: folders given by the caller, the settings' folder, `home()/prompts`, and the library.

The first that holds `<name>.md` wins, so a user's file of the same name takes the place of the library's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from decoder.settings import home, section
from prompts.errors import MalformedPrompt, PromptNotFound
from prompts.front_matter import MOST_BYTES, parse
from prompts.template import NAME, Prompt

LIBRARY = Path(__file__).parent / "library"
STEP = "finding a prompt"
SUFFIX = ".md"


@dataclass(frozen=True, slots=True)
class PromptSettings:
    """Section `[prompts]`.

    Attributes:
        folder: prompts that take precedence over those in `home()/prompts` and the library; empty means none.
    """

    folder: str = ""


def load(name_or_path: str | Path, folders: Sequence[str | Path] = ()) -> Prompt:
    """A prompt by its name, or from a file (a `Path`, or text with a slash or the ending `.md`).

    Args:
        folders: searched first, in order.

    Raises:
        PromptNotFound: there is none.
        MalformedPrompt: its file cannot be used.
    """
    if isinstance(name_or_path, Path) or "/" in name_or_path or name_or_path.endswith(SUFFIX):
        return _read(Path(name_or_path).expanduser())
    return library(folders)[name_or_path]


def library(folders: Sequence[str | Path] = ()) -> Library:
    """All prompts by name; each is read when it is asked for.

    Args:
        folders: searched first, in order.
    """
    return Library((*(Path(folder).expanduser() for folder in folders), *_folders()))


class Library(Mapping[str, Prompt]):
    """Prompts by name, read when asked for. A lookup raises PromptNotFound (a KeyError) or MalformedPrompt.

    Args:
        folders: searched in order; the first that holds a name wins.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folders)

    def __getitem__(self, name: str) -> Prompt:
        prompt = _read(self.path(name))
        if prompt.name != name:
            raise MalformedPrompt(prompt.source, 2, f"it is named {prompt.name}, and its file {name}", "Rename one")
        return prompt

    def __iter__(self) -> Iterator[str]:
        files = (file for folder in self._folders if folder.is_dir() for file in folder.glob(f"*{SUFFIX}"))
        return iter(sorted({file.stem for file in files if NAME.fullmatch(file.stem)}))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._find(name) is not None

    def path(self, name: str) -> Path:
        """The file that a name means. Raises PromptNotFound."""
        found = self._find(name)
        if found is None:
            import difflib

            near = difflib.get_close_matches(name, self, 1)
            remedy = f"Did you mean {near[0]}?" if near else "See `hearth prompt list`"
            raise PromptNotFound(STEP, f"there is no prompt named {name[:64]}", remedy)
        return found

    def _find(self, name: str) -> Path | None:
        if not NAME.fullmatch(name):
            return None
        return next((file for folder in self._folders if (file := folder / f"{name}{SUFFIX}").is_file()), None)


def _folders() -> tuple[Path, ...]:
    named = section("prompts", PromptSettings).folder
    return (*((Path(named).expanduser(),) if named else ()), home() / "prompts", LIBRARY)


def _read(path: Path) -> Prompt:
    try:
        known = path.stat()
    except OSError as error:
        raise PromptNotFound(STEP, f"{path} cannot be read ({error.strerror})", "Give a prompt's file") from error
    return _parsed(path, known.st_mtime_ns, known.st_size)


@lru_cache(maxsize=256)
def _parsed(path: Path, mtime_ns: int, size: int) -> Prompt:
    """Read once as long as the file stays the same; prompts are frozen, so they can be shared."""
    if size > MOST_BYTES:
        raise MalformedPrompt(str(path), 1, f"it is larger than {MOST_BYTES // 1024} KiB", "Give long texts as values")
    try:
        return parse(path.read_bytes()[: MOST_BYTES + 1].decode("utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise MalformedPrompt(str(path), 1, "it is not UTF-8", "Save it as UTF-8") from error
    except OSError as error:
        raise PromptNotFound(STEP, f"{path} cannot be read ({error.strerror})", "Give a prompt's file") from error
