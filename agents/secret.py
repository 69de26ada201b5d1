"""Secrets: values that tools need and that nobody else may see. They are taken out of every text before it is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from decoder.errors import UsageError

SHORTEST = 6


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
    """A function that puts `[secret NAME]` in place of each secret, also where it is URL- or base64-encoded."""
    import base64

    forms: dict[str, str] = {}
    for secret in secrets:
        encoded = base64.b64encode(secret.value.encode()).decode()
        for form in (
            secret.value,
            quote(secret.value, safe=""),
            encoded,
            encoded.rstrip("="),
            secret.value.encode().hex(),
        ):
            forms[form] = str(secret)

    def redact(text: str) -> str:
        for form in sorted(forms, key=len, reverse=True):
            text = text.replace(form, forms[form])
        return text

    return redact
