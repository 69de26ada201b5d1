"""What differs between OpenAI-compatible servers: address, constraint fields, sampling fields of their own.

Knows field names and nothing else; `wire.py` builds whole requests with them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from decoder.errors import UsageError
from decoder.types import Constraint, ConstraintKind

Fields: TypeAlias = dict[str, Any]
ConstraintWriter: TypeAlias = Callable[[Constraint], Fields]


@dataclass(frozen=True, slots=True)
class Preset:
    """One kind of server.

    Attributes:
        name: vllm, ollama, llamacpp or openai.
        base_url: where such a server listens by default, with the `/v1`.
        constraints: for each kind that the server enforces, the body fields that ask for it.
        sampling: names of `Sampling` fields outside OpenAI's protocol that the server takes.
        max_tokens: the body field that bounds the tokens of one completion.
        reasoning: the field of an assistant's message that carries its reasoning back; empty leaves it out.
        token_ids: the server returns token ids when `return_token_ids` is set.
        tokenize: the server counts a conversation's tokens at `/tokenize`, beside `/v1`.
    """

    name: str
    base_url: str
    constraints: Mapping[ConstraintKind, ConstraintWriter]
    sampling: frozenset[str] = field(default=frozenset())
    max_tokens: str = "max_tokens"
    reasoning: str = ""
    token_ids: bool = False
    tokenize: bool = False

    @property
    def kinds(self) -> frozenset[ConstraintKind]:
        """The constraint kinds that can be sent to this server."""
        return frozenset(self.constraints)


def _vllm(constraint: Constraint) -> Fields:
    """vLLM takes a structural tag as JSON text only; the object form is refused with HTTP 400."""
    value: Any = constraint.value
    if constraint.kind == "structural_tag" and not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False)
    elif constraint.kind == "choice":
        value = list(value)
    return {"structured_outputs": {constraint.kind: value}}


def json_schema(constraint: Constraint) -> Mapping[str, Any]:
    """The schema of a "json" constraint, parsed when it was given as text. Raises UsageError when it is no object."""
    schema = constraint.value
    if isinstance(schema, str):
        try:
            schema = json.loads(schema)
        except ValueError as error:
            raise UsageError("constraint", f"the JSON schema is not JSON: {error}", "Mend the schema") from error
    if not isinstance(schema, Mapping):
        raise UsageError("constraint", "the JSON schema is not an object", "Give a JSON schema")
    return schema


def _response_format(constraint: Constraint) -> Fields:
    schema = {"name": "answer", "schema": json_schema(constraint), "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _gbnf(constraint: Constraint) -> Fields:
    return {"grammar": constraint.value}


def _gbnf_choice(constraint: Constraint) -> Fields:
    """llama.cpp has no choice field. JSON's escapes of text are GBNF's too."""
    choices: Sequence[str] = (constraint.value,) if isinstance(constraint.value, str) else tuple(constraint.value)
    return {"grammar": "root ::= " + " | ".join(json.dumps(choice, ensure_ascii=False) for choice in choices)}


def _llamacpp_json(constraint: Constraint) -> Fields:
    return {"json_schema": json_schema(constraint)}


VLLM = Preset(
    name="vllm",
    base_url="http://127.0.0.1:8000/v1",
    constraints={"regex": _vllm, "choice": _vllm, "json": _vllm, "grammar": _vllm, "structural_tag": _vllm},
    sampling=frozenset({"top_k", "min_p", "repetition_penalty"}),
    reasoning="reasoning",
    token_ids=True,
    tokenize=True,
)
OLLAMA = Preset(
    name="ollama",
    base_url="http://127.0.0.1:11434/v1",
    constraints={"json": _response_format},
)
LLAMACPP = Preset(
    name="llamacpp",
    base_url="http://127.0.0.1:8080/v1",
    constraints={"grammar": _gbnf, "choice": _gbnf_choice, "json": _llamacpp_json},
    sampling=frozenset({"top_k", "min_p", "repetition_penalty"}),
    reasoning="reasoning_content",
)
OPENAI = Preset(
    name="openai",
    base_url="https://api.openai.com/v1",
    constraints={"json": _response_format},
    max_tokens="max_completion_tokens",
)
COMPATIBLE = Preset(
    name="compatible",
    base_url="",
    constraints={"json": _response_format},
)
PRESETS: Mapping[str, Preset] = {p.name: p for p in (VLLM, OLLAMA, LLAMACPP, OPENAI, COMPATIBLE)}


def preset(name: str) -> Preset:
    """The preset of this name. Raises UsageError when there is none."""
    if name not in PRESETS:
        raise UsageError("decoder", f"no preset is called {name!r}", f"Choose one of {', '.join(PRESETS)}")
    return PRESETS[name]


def recognise(base_url: str, models: Sequence[Mapping[str, Any]]) -> Preset:
    """The preset of a server from its address and its `/v1/models` entries; `compatible` when nothing tells."""
    if base_url.startswith("https://api.openai.com"):
        return OPENAI
    owners = {str(model.get("owned_by", "")) for model in models}
    if "vllm" in owners:
        return VLLM
    if "llamacpp" in owners:
        return LLAMACPP
    return OLLAMA if "library" in owners else COMPATIBLE
