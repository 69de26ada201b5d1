"""Reasoning before the answer (Wei et al. 2022; without examples, Kojima et al. 2022).

A model cannot reason before an answer that is constrained to JSON; so there the reasoning becomes the object's first
field, which is generated before the others and taken out again when the reply is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from prompts.errors import TechniqueError
from prompts.techniques.instruct import instruct
from prompts.template import Prompt

FIELD = "reasoning"
STEPS = (
    "Think step by step before you answer. Write one step a line, each from what is given or what an earlier step "
    "found, and write out every calculation."
)


def chain_of_thought(prompt: Prompt, answer_form: str = "the answer alone") -> Prompt:
    """`prompt` with steps before the answer, which stands in a last line `Answer: …`, or in the fields of its schema.

    Args:
        answer_form: what stands after `Answer:`, in words.

    Raises:
        TechniqueError: the prompt has a schema to which no field can be added.
    """
    if prompt.reasons:
        return prompt
    if prompt.schema is not None:
        schema = with_reasoning(prompt.schema)
        return replace(instruct(prompt, f"{STEPS} {in_field()}"), schema=schema, reasons=True)
    last = f"End with one line `Answer: …`, with {answer_form} after the colon, and write nothing after it."
    return replace(instruct(prompt, f"{STEPS} {last}"), reasons=True)


def in_field() -> str:
    """What a model has to know when it writes JSON."""
    return (
        f"The steps go into the field `{FIELD}`, which comes first, and the answer into the other fields; nothing "
        "stands outside the JSON, and no line `Answer:` either."
    )


def with_reasoning(schema: Mapping[str, Any]) -> dict[str, Any]:
    """An object's schema with `reasoning` as its first field. Raises TechniqueError where it has no properties."""
    properties = schema.get("properties")
    if schema.get("type") != "object" or not isinstance(properties, Mapping):
        remedy = "Put the value into a field of an object"
        raise TechniqueError("reasoning before JSON", "the schema is no object with properties", remedy)
    if FIELD in properties:
        raise TechniqueError("reasoning before JSON", f"the schema has a field {FIELD} already", "Rename that field")
    required = [FIELD, *schema.get("required", [])]
    return {**schema, "properties": {FIELD: {"type": "string"}, **properties}, "required": required}
