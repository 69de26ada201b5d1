"""The words of the pages: `say("chat.stop")`. They stand in one file, en.toml, so that others can translate it.

Values are put in as they are, and most places show Markdown: text from outside goes through `safe_text.plain` first.
"""

from __future__ import annotations

import os
import re
import time
import tomllib
from functools import lru_cache
from pathlib import Path

from decoder.errors import SettingsError
from ui.browser.settings import ui_settings

FOLDER = Path(__file__).parent


def say(key: str, /, **values: object) -> str:
    """The words of `key`, as "page.name", with values in the place of {name}.

    Raises:
        KeyError: there are no such words in English.
        SettingsError: the settings name a language that there is no file of.
    """
    words = _words(_language()).get(key) or _words("en")[key]
    return words.format(**values) if values else words


def _language() -> str:
    """As the settings have it; a page says hundreds of words, so they are read once in two seconds."""
    named = tuple(os.environ.get(name) for name in ("HEARTH_UI_LANGUAGE", "HEARTH_SETTINGS", "HEARTH_HOME"))
    return _language_of(named, int(time.monotonic() / 2))


@lru_cache(maxsize=4)
def _language_of(named: tuple[str | None, ...], moment: int) -> str:
    return ui_settings().language


@lru_cache(maxsize=8)
def _words(language: str) -> dict[str, str]:
    file = FOLDER / f"{language}.toml"
    if not re.fullmatch(r"[a-z]{2,3}(-[A-Z]{2})?", language) or not file.is_file():
        remedy = f"Languages: {', '.join(sorted(each.stem for each in FOLDER.glob('*.toml')))}"
        raise SettingsError("choosing the language", f"there are no words in {language!r}", remedy)
    tables = tomllib.loads(file.read_text(encoding="utf-8"))
    return {f"{table}.{name}": str(words) for table, entries in tables.items() for name, words in entries.items()}
