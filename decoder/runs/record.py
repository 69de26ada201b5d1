"""Files of a run's folder that stand beside run.json: read as far as they are there, and written whole or not at all.

What is missing or damaged is empty, since a report shows what there is.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from decoder.errors import CheckpointFailed
from decoder.yaml_data import BadYaml, read_yaml


def read_object(file: Path) -> dict[str, Any]:
    """A JSON object, such as run.json."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def read_recipe(file: Path) -> dict[str, Any]:
    """recipe.yaml as data."""
    try:
        found = read_yaml(file.read_text(encoding="utf-8")).plain()
    except (OSError, UnicodeDecodeError, BadYaml):
        return {}
    return found if isinstance(found, dict) else {}


def write_whole(file: Path, text: str, step: str) -> None:
    """Replace `file` by `text`; until it is written, the old one stays. Raises CheckpointFailed, naming `step`."""
    aside = file.with_name("." + file.name)
    try:
        aside.write_text(text, encoding="utf-8")
        aside.replace(file)
    except OSError as error:
        raise CheckpointFailed(step, str(error), "Free some space") from error


def utc(moment: Any) -> str | None:
    """Seconds since 1970 as a date and time."""
    if not isinstance(moment, (int, float)):
        return None
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(moment))
