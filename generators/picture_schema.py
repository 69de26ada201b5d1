"""What a PNG's metadata may say, as a JSON schema: every key known, every length bounded."""

from __future__ import annotations

from typing import Any

from generators.draw_request import MAX_COUNT, MAX_PROMPT, MAX_SEED, MAX_SIDE, MAX_STEPS, UNPRINTABLE


def text_of(longest: int) -> dict[str, Any]:
    """Printable text of so many characters at most."""
    return {"type": "string", "maxLength": longest, "not": {"pattern": UNPRINTABLE.pattern}}


def whole_of(low: int, high: int) -> dict[str, Any]:
    """A whole number in these bounds."""
    return {"type": "integer", "minimum": low, "maximum": high}


DIGEST = {"type": "string", "pattern": "^([0-9a-f]{64})?$"}
FLAT = {"type": ["string", "number", "boolean", "null", "array"], "maxLength": 200, "maxItems": 2000}
KEYS: dict[str, Any] = {
    "format": {"const": 1},
    "prompt": {**text_of(MAX_PROMPT), "minLength": 1},
    "original_prompt": text_of(MAX_PROMPT),
    "negative_prompt": text_of(MAX_PROMPT),
    "seed": whole_of(0, MAX_SEED),
    "batch": {
        "type": "array",
        "prefixItems": [whole_of(0, MAX_SEED), whole_of(1, MAX_COUNT), whole_of(0, MAX_COUNT)],
        "minItems": 3,
        "maxItems": 3,
    },
    "width": whole_of(1, MAX_SIDE),
    "height": whole_of(1, MAX_SIDE),
    "steps": whole_of(1, MAX_STEPS),
    "guidance_scale": {"type": ["number", "null"], "minimum": 0, "maximum": 100},
    "strength": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
    "scheduler": text_of(100),
    "scheduler_name": text_of(100),
    "scheduler_config": {"type": "object", "maxProperties": 100, "additionalProperties": FLAT},
    "pipeline": text_of(100),
    "model": text_of(200),
    "revision": {"type": "string", "pattern": "^([0-9a-f]{40})?$"},
    "model_sha256": DIGEST,
    "dtype": text_of(20),
    "device": text_of(100),
    "loras": {
        "type": "array",
        "maxItems": 8,
        "items": {
            "type": "object",
            "properties": {
                "name": text_of(255),
                "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                "scale": {"type": "number", "minimum": -100, "maximum": 100},
            },
            "required": ["name", "sha256", "scale"],
            "additionalProperties": False,
        },
    },
    "image_sha256": DIGEST,
    "mask_sha256": DIGEST,
    "versions": {"type": "object", "maxProperties": 20, "additionalProperties": text_of(100)},
    "notes": {"type": "array", "maxItems": 50, "items": text_of(1000)},
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": KEYS,
    "required": list(KEYS),
    "additionalProperties": False,
}
