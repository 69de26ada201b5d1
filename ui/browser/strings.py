"""The words of the pages: `say("chat.stop")`. They stand in one file, en.toml, so that others can translate it.

Values are put in as they are, and most places show Markdown: text from outside goes through `safe_text.plain` first.
"""

from __future__ import annotations

import re
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
    words = _words(ui_settings().language).get(key) or _words("en")[key]
    return words.format(**values) if values else words


@lru_cache(maxsize=8)
def _words(language: str) -> dict[str, str]:
    file = FOLDER / f"{language}.toml"
    if not re.fullmatch(r"[a-z]{2,3}(-[A-Z]{2})?", language) or not file.is_file():
        remedy = f"Languages: {', '.join(sorted(each.stem for each in FOLDER.glob('*.toml')))}"
        raise SettingsError("choosing the language", f"there are no words in {language!r}", remedy)
    tables = tomllib.loads(file.read_text(encoding="utf-8"))
    return {f"{table}.{name}": str(words) for table, entries in tables.items() for name, words in entries.items()}
