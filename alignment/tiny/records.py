"""Orders told in a sentence, to be put into the fields of a schema."""

from __future__ import annotations

import json
from dataclasses import dataclass
from random import Random

from alignment.tiny.words import DAYS, THINGS, Split, person, wording

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "thing": {"enum": list(THINGS)},
        "count": {"type": "integer"},
        "day": {"enum": list(DAYS)},
    },
    "required": ["name", "thing", "count", "day"],
    "additionalProperties": False,
}
TOLD = (
    "{name} wants {count} {thing} on {day}.",
    "On {day}, please send {count} {thing} to {name}.",
    "Please bring {name} {count} {thing} by {day}.",
    "{count} {thing} for {name}, to be sent on {day}.",
    "By {day} we have to send {name} {count} {thing}.",
    "For {name}: {count} {thing}, {day}.",
    "{name} orders {count} {thing} for {day}.",
    "We owe {name} {count} {thing}, and {day} is the day.",
    "On {day}, {name} needs {count} {thing}.",
    "Send {count} {thing} to {name} by {day}.",
    "{count} {thing} go to {name} on {day}.",
    "Please send {name} {count} {thing} on {day}.",
    "{name} wants to have {count} {thing} by {day}.",
)


@dataclass(frozen=True, slots=True)
class Order:
    """A sentence, and what it says."""

    text: str
    record: dict[str, str | int]

    @property
    def json(self) -> str:
        """The record as the model is to write it."""
        return json.dumps(self.record)


def order(random: Random, split: Split) -> Order:
    """One order."""
    record: dict[str, str | int] = {
        "name": person(random, split),
        "thing": random.choice(THINGS),
        "count": random.randint(2, 99),
        "day": random.choice(DAYS),
    }
    return Order(wording(random, split, TOLD, held_out=2).format(**record), record)
