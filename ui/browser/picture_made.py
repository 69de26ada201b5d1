"""How a picture of the gallery was made, as names and values to show, and as the form's settings to draw so again."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LONGEST = 2000
"""Characters of a value that are shown."""
EMPTY: tuple[Any, ...] = ("", None, (), [], {})


def facts_of(file: Path) -> list[tuple[str, str]]:
    """What the PNG says, read by the room's own checked readers. Raises ImageError."""
    from generators.errors import ImageError
    from generators.picture_metadata import read_metadata
    from generators.run_pictures import read_run_metadata

    said: Any
    try:
        said = read_run_metadata(file)
    except ImageError as error:
        if "does not say" not in error.cause:
            raise
        said = read_metadata(file)
    return [
        (name.replace("_", " "), _text(value)) for name, value in dataclasses.asdict(said).items() if value not in EMPTY
    ]


def again_settings(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What the widgets of the form are set to, by key, so that it asks for the same."""
    settings: dict[str, Any] = {
        "pictures-count": int(asked.get("count", 1)),
        "pictures-seed": int(asked.get("seed", 0)),
    }
    if asked.get("from") == "pipeline":
        settings |= {
            "pictures-model": "pipeline",
            "pictures-use-pipeline": True,
            "pictures-folder": asked.get("model", ""),
            "pictures-prompt": asked.get("prompt", ""),
            "pictures-negative": asked.get("negative", ""),
            "pictures-steps": int(asked.get("steps") or 0),
            "pictures-guidance": asked.get("guidance_scale"),
            "pictures-width": int(asked.get("width") or 0),
            "pictures-height": int(asked.get("height") or 0),
            "pictures-scheduler": asked.get("scheduler") or "",
        }
        return settings
    options = asked.get("options") or {}
    settings |= {
        "pictures-model": asked.get("run"),
        "pictures-captions": "\n".join(asked.get("captions") or ()),
        "pictures-labels": list(dict.fromkeys(asked.get("labels") or ())),
        "pictures-run-steps": options.get("steps"),
        "pictures-run-guidance": options.get("guidance_scale"),
        "pictures-run-negative": options.get("negative", ""),
    }
    return settings


def enlarged(png: bytes) -> bytes:
    """A small picture enlarged whole times, so that its pixels stay sharp."""
    from io import BytesIO

    from PIL import Image

    with Image.open(BytesIO(png), formats=("PNG",)) as image:
        times = 256 // max(image.size)
        if times < 2:
            return png
        target = BytesIO()
        image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST).save(target, "PNG")
        return target.getvalue()


def _text(value: Any) -> str:
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…"
