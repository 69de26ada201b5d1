"""Secrets: values that tools need and that nobody else may see. They are taken out of every text before it is kept."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeVar, cast
from urllib.parse import quote, quote_plus

from decoder.errors import UsageError

T = TypeVar("T")
SHORTEST = 6
URL_SAFE = str.maketrans("+/", "-_")


@dataclass(frozen=True, slots=True)
class Secret:
    """A value with a name. Its `repr` and `str` show the name alone; `value` is for the tool that needs it."""

    name: str
    value: str = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.value) < SHORTEST:
            remedy = "A shorter one would be taken out of ordinary words too"
            raise UsageError("keeping a secret", f"{self.name} has fewer than {SHORTEST} characters", remedy)

    def __str__(self) -> str:
        return f"[secret {self.name}]"


def redactor(secrets: Sequence[Secret]) -> Callable[[str], str]:
    """A function that puts `[secret NAME]` in place of each secret, also where it is encoded (see `_forms`)."""
    forms = {form: str(secret) for secret in secrets for form in _forms(secret.value)}
    longest_first = sorted(forms, key=len, reverse=True)

    def redact(text: str) -> str:
        for form in longest_first:
            text = text.replace(form, forms[form])
        return text

    return redact


def without_secrets(value: T, redact: Callable[[str], str]) -> T:
    """The same data with every text in it redacted: JSON values, messages, events."""
    changed: Any = value
    if isinstance(value, str):
        changed = redact(value)
    elif isinstance(value, Mapping):
        changed = {key: without_secrets(each, redact) for key, each in value.items()}
    elif isinstance(value, (list, tuple)):
        changed = type(value)(without_secrets(each, redact) for each in value)
    elif is_dataclass(value) and not isinstance(value, type):
        said = {each.name: getattr(value, each.name) for each in fields(value)}
        changed = replace(value, **without_secrets(said, redact))
    return cast(T, changed)


def _forms(value: str) -> set[str]:
    """As it is, in JSON, in a URL, as hexadecimal digits, and as base64 of it alone or amid other bytes."""
    raw = value.encode()
    quoted = {quote(value, safe=""), quote(value), quote_plus(value)}
    lower = {re.sub("%..", lambda escape: escape.group().lower(), each) for each in quoted}
    written = {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    plain = {value, *written, *(each.replace("/", "\\/") for each in written), *quoted, *lower}
    return {*plain, raw.hex(), raw.hex().upper(), *_base64(raw)}


def _base64(raw: bytes) -> set[str]:
    """Base64 in both alphabets. Amid other bytes, the characters that hold bits of a neighbour are not known."""
    whole = base64.b64encode(raw).decode()
    forms = {whole, whole.rstrip("=")}
    for before, shared in ((0, 0), (1, 2), (2, 3)):
        encoded = base64.b64encode(bytes(before) + raw).decode()
        end = len(encoded.rstrip("=")) - encoded.endswith("=")
        forms.add(encoded[shared:end])
    return forms | {form.translate(URL_SAFE) for form in forms}
