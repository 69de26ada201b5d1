"""Which tokens of a row are trained: the same tokens, and the same of them, as TRL's trainers take.

mask_row(training_tokenizer(tokenizer), {"messages": [...]}, "messages") -> MaskedRow(ids, live, pieces)

messages           what the assistant said                          (SFTTrainer, assistant_only_loss)
prompt_completion  the completion                                   (SFTTrainer, completion_only_loss)
preference, kto    the completion, or each of the two               (DPOTrainer, KTOTrainer)
ranking            each of the K responses
text               all of it                                        (SFTTrainer)
prompt             nothing: the completions are yet to be written   (GRPO, RLOO, PPO)
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from alignment.errors import MaskError
from alignment.training_template import STEP, training_tokenizer

__all__ = ["MaskedRow", "TokenSequence", "mask_row", "mask_rows", "sequences", "training_tokenizer"]


@dataclass(frozen=True, slots=True)
class TokenSequence:
    """One sequence that a trainer makes of a row.

    Attributes:
        name: which of the row's sequences: "chosen", "rejected", "rank 1"; empty when there is one.
        ids: token ids, not truncated.
        live: for each, whether it is trained.
        prompt: number of tokens before the completion; 0 where there is no prompt.
        text: what was tokenised.
        offsets: start and end of each token in `text`; empty when the tokenizer cannot say.
    """

    name: str
    ids: tuple[int, ...]
    live: tuple[bool, ...]
    prompt: int
    text: str
    offsets: tuple[tuple[int, int], ...]

    def all_live(self) -> TokenSequence:
        """With every token trained, as a recipe may wish."""
        return TokenSequence(self.name, self.ids, (True,) * len(self.ids), self.prompt, self.text, self.offsets)

    def cut(self, max_length: int | None) -> TokenSequence:
        """The first `max_length` tokens, as TRL truncates by default."""
        if max_length is None or len(self.ids) <= max_length:
            return self
        short = slice(max_length)
        return TokenSequence(self.name, self.ids[short], self.live[short], self.prompt, self.text, self.offsets[short])


@dataclass(frozen=True, slots=True)
class MaskedRow:
    """A sequence as it is trained: ids, whether each is live (its loss counts), and the text of each.

    `pieces` joined are the text up to where it was truncated; a character of several tokens is at the first of them.
    """

    ids: tuple[int, ...]
    live: tuple[bool, ...]
    pieces: tuple[str, ...]
    name: str = ""


def mask_row(tokenizer: Any, row: Mapping[str, Any], row_format: str, max_length: int | None = None) -> MaskedRow:
    """The row's first sequence: of a pair the chosen one, of a ranking the best.

    Args:
        tokenizer: for conversations, one of `training_tokenizer`.
        row: in one of TRL's formats, or a ranking, as `alignment.data` gives it.
        row_format: the row's format, as in `DataSection.format`.
        max_length: longer sequences lose their end, as in TRL.

    Raises:
        MaskError: the chat template cannot render the row.
    """
    return mask_rows(tokenizer, row, row_format, max_length)[0]


def mask_rows(
    tokenizer: Any, row: Mapping[str, Any], row_format: str, max_length: int | None = None
) -> tuple[MaskedRow, ...]:
    """Every sequence of the row. Arguments and errors as for `mask_row`."""
    return tuple(as_masked(tokenizer, found.cut(max_length)) for found in sequences(tokenizer, row, row_format))


def as_masked(tokenizer: Any, sequence: TokenSequence) -> MaskedRow:
    """A sequence with the text of each token."""
    return MaskedRow(sequence.ids, sequence.live, _pieces(tokenizer, sequence), sequence.name)


def sequences(tokenizer: Any, row: Mapping[str, Any], row_format: str) -> tuple[TokenSequence, ...]:
    """What a trainer makes of the row, before truncation. Arguments and errors as for `mask_row`."""
    if row_format == "messages":
        return (_assistant(tokenizer, row["messages"], row),)
    if row_format == "text":
        ids, text, offsets = _encode(tokenizer, _ended(tokenizer, row["text"]), row)
        return (TokenSequence("", ids, (True,) * len(ids), 0, text, offsets),)
    if row_format == "prompt":
        ids, text, offsets = _encode(tokenizer, row["prompt"], row, prompt=True)
        return (TokenSequence("", ids, (False,) * len(ids), len(ids), text, offsets),)
    return _completions(tokenizer, row, _completions_of(row, row_format))


def _completions_of(row: Mapping[str, Any], row_format: str) -> list[tuple[str, Any]]:
    """Name and completion of each, best first where there is an order."""
    if row_format in ("prompt_completion", "kto"):
        return [("", row["completion"])]
    if row_format == "preference":
        return [("chosen", row["chosen"]), ("rejected", row["rejected"])]
    if row_format == "ranking":
        ranked = sorted(zip(row["ranks"], row["responses"], strict=True), key=lambda pair: int(pair[0]))
        return [(f"rank {rank}", _as_completion(row["prompt"], text)) for rank, text in ranked]
    raise MaskError(STEP, f"{row_format!r} is no format of rows", "Choose one of data.format")


def _as_completion(prompt: Any, response: Any) -> Any:
    """A response as the prompt's own kind: text after text, a turn after turns."""
    if isinstance(prompt, str) or not isinstance(response, str):
        return response
    return [{"role": "assistant", "content": response}]


def _completions(tokenizer: Any, row: Mapping[str, Any], named: Sequence[tuple[str, Any]]) -> tuple[TokenSequence, ...]:
    """Prompt and completion, tokenised together; live from where they and the prompt alone part.

    The least common prefix of all counts for all, as in DPOTrainer.
    """
    from trl.data_utils import common_prefix_length

    prompt = row["prompt"]
    alone = _encode(tokenizer, prompt, row, prompt=True)[0]
    found = [(name, *_encode(tokenizer, prompt + _ended(tokenizer, said), row)) for name, said in named]
    start = min(common_prefix_length(list(alone), list(ids)) for _, ids, _, _ in found)
    return tuple(
        TokenSequence(name, ids, tuple(at >= start for at in range(len(ids))), start, text, offsets)
        for name, ids, text, offsets in found
    )


def _ended(tokenizer: Any, said: Any) -> Any:
    """Plain text with the end-of-sequence token, which TRL adds where it is not there."""
    if not isinstance(said, str):
        return said
    if tokenizer.eos_token is None:
        remedy = "Give a tokenizer with an eos_token"
        raise MaskError(
            STEP, "the tokenizer has no end-of-sequence token, so nothing would teach the model to stop", remedy
        )
    return said if said.endswith(tokenizer.eos_token) else said + tokenizer.eos_token


def _assistant(tokenizer: Any, messages: Any, row: Mapping[str, Any]) -> TokenSequence:
    from trl.chat_template_utils import has_generation_markers

    marked = bool(tokenizer.chat_template) and has_generation_markers(tokenizer.chat_template)
    encoded, text = _conversation(tokenizer, messages, row, return_assistant_tokens_mask=marked)
    ids = tuple(encoded["input_ids"])
    live = tuple(bool(one) for one in encoded["assistant_masks"]) if marked else (False,) * len(ids)
    return TokenSequence("", ids, live, 0, text, _offsets(encoded))


def _encode(
    tokenizer: Any, said: Any, row: Mapping[str, Any], prompt: bool = False
) -> tuple[tuple[int, ...], str, tuple[tuple[int, int], ...]]:
    """Ids, text and offsets of plain text or of a conversation; `prompt` adds the header of the assistant's turn."""
    if isinstance(said, str):
        encoded, text = tokenizer(said, return_offsets_mapping=tokenizer.is_fast), said
    else:
        encoded, text = _conversation(tokenizer, said, row, add_generation_prompt=prompt)
    return tuple(encoded["input_ids"]), text, _offsets(encoded)


def _conversation(tokenizer: Any, messages: Any, row: Mapping[str, Any], **how: Any) -> tuple[Any, str]:
    """The tokenizer's own encoding of a conversation, with the text that it encoded."""
    from jinja2 import TemplateError

    tools, more = row.get("tools"), row.get("chat_template_kwargs") or {}
    if not isinstance(more, Mapping):
        raise MaskError(STEP, "its chat_template_kwargs are no object", "Mend the row, or rename the column")
    context = {"tools": json.loads(tools) if isinstance(tools, str) else tools, **more}
    prompt = bool(how.get("add_generation_prompt"))
    offsets = {"tokenizer_kwargs": {"return_offsets_mapping": True}} if tokenizer.is_fast else {}
    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt, **context)
        encoded = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=True, **how, **offsets, **context)
    except (TemplateError, TypeError, ValueError, KeyError) as error:
        remedy = "Mend the conversation, or give another template in model.chat_template"
        raise MaskError(STEP, f"the chat template cannot render it: {error}", remedy) from error
    return encoded, str(text)


def _offsets(encoded: Mapping[str, Any]) -> tuple[tuple[int, int], ...]:
    return tuple((start, end) for start, end in encoded.get("offset_mapping", ()))


def _pieces(tokenizer: Any, sequence: TokenSequence) -> tuple[str, ...]:
    """The text of each token; with offsets, white space that the tokenizer skips is kept."""
    if not sequence.offsets:
        return tuple(str(tokenizer.decode([token])) for token in sequence.ids)
    ends = [0]
    for _, end in sequence.offsets:
        ends.append(max(end, ends[-1]))
    texts = [sequence.text[start:end] for start, end in pairwise(ends)]
    added = [start == end == 0 for start, end in sequence.offsets]  # by the tokenizer itself: a token without text
    return tuple(
        str(tokenizer.decode([token])) if alone else text
        for token, text, alone in zip(sequence.ids, texts, added, strict=True)
    )
