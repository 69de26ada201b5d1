"""Output of a given form: a schema for the decoder, an explanation for the model, a class for the caller."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from prompts.techniques.chain_of_thought import in_field, with_reasoning
from prompts.techniques.instruct import instruct
from prompts.template import Prompt


def output_format(prompt: Prompt, form: Any) -> Prompt:
    """`prompt` with output of this form; `prompts.ask` then gives an instance of the class.

    The schema is both enforced, where the decoder can, and shown to the model, which writes better what it expects.

    Args:
        form: a pydantic model, a dataclass, a TypedDict, another type that pydantic reads, or a JSON schema.

    Raises:
        ConstraintRefused: the schema is malformed, or the class has none.
        MissingExtra: a class was given, and pydantic, which reads it, is not installed.
        TechniqueError: the prompt asks for reasoning first, and the form is no object.
    """
    from decoder.constraint import json_schema
    from decoder.schema import as_mapping

    schema = as_mapping(json_schema(form).value)
    if prompt.reasons:
        schema = with_reasoning(schema)
    shown = json.dumps(schema, ensure_ascii=False)
    told = f"Reply with one JSON value that satisfies this schema, and nothing else:\n{shown}"
    if prompt.reasons:
        told += f"\n\n{in_field()}"
    output = None if isinstance(form, (str, Mapping)) else form
    return replace(instruct(prompt, told), schema=schema, output=output)
