"""A prompt put to a decoder: rendered, sampled as it says, and its output read by its schema.

With a decoder that enforces JSON the output cannot fail to parse; what remains to fail is a limit of tokens, and a
check of the caller's class that no schema can express. Without one, the JSON is looked for, and asked for once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from decoder.base import run_sync
from decoder.types import Completion, Message, Sampling, Usage, assistant, user
from prompts.errors import OutputMalformed, OutputTruncated
from prompts.reading import STEP, Form, Read, Unreadable, read, read_tolerantly
from prompts.techniques.chain_of_thought import FIELD
from prompts.template import Prompt

if TYPE_CHECKING:
    from decoder.base import Decoder


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a prompt.

    Attributes:
        text: what the model wrote, the last time it was asked.
        value: the output as its schema or class has it; the text itself without a schema.
        reasoning: what it wrote into the field that `chain_of_thought` added, or None.
        messages: what it was asked, the last time.
        completions: every completion that was needed, in order.
    """

    text: str
    value: Any
    reasoning: str | None
    messages: tuple[Message, ...]
    completions: tuple[Completion, ...]

    @property
    def repaired(self) -> bool:
        """Whether the first output could not be read."""
        return len(self.completions) > 1

    @property
    def truncated(self) -> bool:
        """Whether max_tokens ended the text; with a schema that is an error instead."""
        return self.completions[-1].finish_reason == "length"

    @property
    def usage(self) -> Usage:
        """Tokens of all completions together."""
        counted = [completion.usage for completion in self.completions]
        cached = [usage.cached_tokens for usage in counted if usage.cached_tokens is not None]
        prompt, completion = sum(u.prompt_tokens for u in counted), sum(u.completion_tokens for u in counted)
        return Usage(prompt, completion, sum(cached) if cached else None)


async def aask(
    decoder: Decoder, prompt: Prompt, values: Mapping[str, Any] | None = None, sampling: Sampling | None = None
) -> Reply:
    """Render a prompt, have it completed and read what came.

    Args:
        values: of the prompt's variables.
        sampling: what it sets takes the place of the prompt's own; `n` beyond 1 is left to the completion.

    Raises:
        RenderError: the values do not fit.
        OutputTruncated: max_tokens ended an output that has a schema.
        OutputMalformed: it did not satisfy the schema, nor after one repair.
        DecoderError: from the decoder.
    """
    messages = prompt.render(**(values or {}))
    drawn = merged(prompt.sampling, sampling)
    if prompt.schema is None:
        completion = await decoder.acomplete(messages, sampling=drawn)
        return Reply(completion.text, completion.text, None, messages, (completion,))
    await decoder.aready()
    constraint = prompt.constraint if "json" in decoder.constraints else None
    completions: list[Completion] = []
    while True:
        completion = await decoder.acomplete(messages, sampling=drawn, constraint=constraint)
        completions.append(completion)
        try:
            found = _read(prompt, completion, constraint is not None)
        except Unreadable as error:
            if len(completions) > 1:
                cause = f"the output is not what the schema asks for, nor after one repair ({error})"
                remedy = "Use a decoder that enforces JSON, or another model"
                raise OutputMalformed(STEP, cause, remedy, completion.text) from error
            messages = (*messages, assistant(completion.text), user(_repair(str(error))))
            continue
        reasoning = found.aside if isinstance(found.aside, str) else None
        return Reply(completion.text, found.value, reasoning, messages, tuple(completions))


def ask(
    decoder: Decoder, prompt: Prompt, values: Mapping[str, Any] | None = None, sampling: Sampling | None = None
) -> Reply:
    """`aask` for code without an event loop."""
    return run_sync(aask(decoder, prompt, values, sampling))


def merged(default: Sampling, wanted: Sampling | None) -> Sampling:
    """`default` with every field that `wanted` sets."""
    if wanted is None:
        return default
    plain = Sampling()
    set_there = {
        f.name: value for f in fields(Sampling) if (value := getattr(wanted, f.name)) != getattr(plain, f.name)
    }
    return replace(default, **set_there)


def _read(prompt: Prompt, completion: Completion, enforced: bool) -> Read:
    """The output. Raises Unreadable, or OutputTruncated when what is unreadable was cut off."""
    form = Form(prompt.schema or {}, prompt.output, FIELD if prompt.reasons else "")
    cut_off = completion.finish_reason == "length"
    try:
        found = read(completion.text, form) if enforced else read_tolerantly(completion.text, form)
        if cut_off and not found.piece.rstrip().endswith(("}", "]")):
            raise Unreadable("it may go on")  # a number or a word
    except Unreadable as error:
        if cut_off:
            limit = f" after {completion.usage.completion_tokens} tokens" if completion.usage.completion_tokens else ""
            cause = f"max_tokens ended the output{limit} before it was whole"
            raise OutputTruncated(STEP, cause, "Raise max_tokens", completion.text) from error
        raise
    return found


def _repair(reason: str) -> str:
    return (
        f"That cannot be read: {reason}. Send the whole answer again as one JSON value that satisfies the schema, "
        "without a code fence and with nothing before or after it."
    )
