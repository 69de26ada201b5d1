"""What a PNG's metadata may say, as a JSON schema: every key known, every length bounded."""

from __future__ import annotations

from typing import Any

from generators.draw_request import MAX_COUNT, MAX_PROMPT, MAX_SEED, MAX_SIDE, MAX_STEPS, UNPRINTABLE


def _text(longest: int) -> dict[str, Any]:
    return {"type": "string", "maxLength": longest, "not": {"pattern": UNPRINTABLE.pattern}}


def _whole(low: int, high: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": low, "maximum": high}


DIGEST = {"type": "string", "pattern": "^([0-9a-f]{64})?$"}
FLAT = {"type": ["string", "number", "boolean", "null", "array"], "maxLength": 200, "maxItems": 2000}
KEYS: dict[str, Any] = {
    "format": {"const": 1},
    "prompt": {**_text(MAX_PROMPT), "minLength": 1},
    "original_prompt": _text(MAX_PROMPT),
    "negative_prompt": _text(MAX_PROMPT),
    "seed": _whole(0, MAX_SEED),
    "batch": {
        "type": "array",
        "prefixItems": [_whole(0, MAX_SEED), _whole(1, MAX_COUNT), _whole(0, MAX_COUNT)],
        "minItems": 3,
        "maxItems": 3,
    },
    "width": _whole(1, MAX_SIDE),
    "height": _whole(1, MAX_SIDE),
    "steps": _whole(1, MAX_STEPS),
    "guidance_scale": {"type": ["number", "null"], "minimum": 0, "maximum": 100},
    "strength": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
    "scheduler": _text(100),
    "scheduler_name": _text(100),
    "scheduler_config": {"type": "object", "maxProperties": 100, "additionalProperties": FLAT},
    "pipeline": _text(100),
    "model": _text(200),
    "revision": {"type": "string", "pattern": "^([0-9a-f]{40})?$"},
    "model_sha256": DIGEST,
    "dtype": _text(20),
    "device": _text(100),
    "loras": {
        "type": "array",
        "maxItems": 8,
        "items": {
            "type": "object",
            "properties": {
                "name": _text(255),
                "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                "scale": {"type": "number", "minimum": -100, "maximum": 100},
            },
            "required": ["name", "sha256", "scale"],
            "additionalProperties": False,
        },
    },
    "image_sha256": DIGEST,
    "mask_sha256": DIGEST,
    "versions": {"type": "object", "maxProperties": 20, "additionalProperties": _text(100)},
    "notes": {"type": "array", "maxItems": 50, "items": _text(1000)},
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": KEYS,
    "required": list(KEYS),
    "additionalProperties": False,
}
