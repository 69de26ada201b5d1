"""How a conversation is answered: model, prompt and sampling, as data that is checked when it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from decoder.types import Sampling

MOST_TOKENS = 8192


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """How answers of a conversation are made. What is left empty follows the house's defaults.

    Attributes:
        quote: no model writes; answers are quoted from the documents.
        model: a served model's or adapter's name; empty is what the settings name, or what is promoted.
        prompt: its name; empty is grounded-answer, or no prompt where there are no documents.
        temperature, top_p, max_tokens, seed: as `Sampling`; None leaves it to the room.
    """

    quote: bool = False
    model: str = ""
    prompt: str = ""
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None

    def sampling(self) -> Sampling:
        """As the decoder takes it. Raises UsageError for a value outside its range."""
        return Sampling(temperature=self.temperature, top_p=self.top_p, max_tokens=self.max_tokens, seed=self.seed)

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def settings_from(data: Any) -> ChatSettings:
    """Read what `plain` gave; what is missing or of another type is the default."""
    found = data if isinstance(data, Mapping) else {}
    kinds: dict[str, tuple[type, ...]] = {
        "quote": (bool,),
        "model": (str,),
        "prompt": (str,),
        "temperature": (float, int),
        "top_p": (float, int),
        "max_tokens": (int,),
        "seed": (int,),
    }
    names = [field.name for field in fields(ChatSettings)]
    return ChatSettings(**{name: found[name] for name in names if _is(found.get(name), kinds[name])})


def _is(value: Any, kinds: tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
