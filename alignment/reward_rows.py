"""Preference rows as a reward model reads them: token ids of each response after its prompt, and their ranks.

A pair is a ranking of two. The same `encode` serves training and scoring, so that both read a score from the same
token: the end-of-sequence token, which is the last of every sequence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alignment.errors import DataError
from alignment.reward_loss import ranked_pairs

if TYPE_CHECKING:
    from torch import Tensor

STEP = "reading preferences"


@dataclass(frozen=True, slots=True)
class Ranking:
    """One prompt's responses.

    Attributes:
        prompt: text, or a list of messages; empty when the responses hold it.
        responses: K texts, or K lists of messages.
        ranks: K whole numbers; 1 is best, equal ones are ties.
        tools: the functions that the prompt offers, for the chat template.
    """

    prompt: Any
    responses: tuple[Any, ...]
    ranks: tuple[int, ...]
    tools: Any = None


def as_ranking(row: Mapping[str, Any], index: int) -> Ranking:
    """A row of format `preference` or `ranking`. `index` from 0 is for errors.

    Raises:
        DataError: it is neither, or no response is better than another.
    """
    prompt, tools = row.get("prompt") or "", row.get("tools")
    tools = json.loads(tools) if isinstance(tools, str) else tools  # as TRL's datasets keep them
    if row.get("chosen") is not None and row.get("rejected") is not None:
        return Ranking(prompt, (row["chosen"], row["rejected"]), (1, 2), tools)
    if row.get("responses") is None or row.get("ranks") is None:
        raise _refused(index, "", "it is no preference and no ranking", "Give chosen and rejected, or a ranking")
    responses, ranks = tuple(row["responses"]), tuple(int(rank) for rank in row["ranks"])
    if len(responses) != len(ranks):
        raise _refused(index, "ranks", f"{len(ranks)} ranks for {len(responses)} responses", "Rank each response once")
    if not ranked_pairs(ranks):
        raise _refused(index, "ranks", "no response is better than another", "Leave the row out, or rank apart")
    return Ranking(prompt, responses, ranks, tools)


def tokenised(tokenizer: Any, row: Mapping[str, Any], index: int) -> dict[str, Any]:
    """What the collator takes: `response_ids`, K lists of token ids, and `ranks`. Raises DataError."""
    ranking = as_ranking(row, index)
    ids = [encode(tokenizer, ranking.prompt, response, ranking.tools) for response in ranking.responses]
    return {"response_ids": ids, "ranks": list(ranking.ranks)}


def encode(tokenizer: Any, prompt: Any, completion: Any, tools: Any = None) -> list[int]:
    """Token ids of a completion after its prompt; the last is the end-of-sequence token.

    Args:
        prompt: text, to which the completion is joined as it is, or a list of messages, which the chat template
            writes.
        completion: text, or a list of messages; text after messages is the assistant's.
    """
    if isinstance(prompt, str) and isinstance(completion, str):
        return ended(tokenizer, tokenizer(text=prompt + completion)["input_ids"])
    messages = [*_messages(prompt, "user"), *_messages(completion, "assistant")]
    ids = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=True, tools=tools)["input_ids"]
    return ended(tokenizer, ids)


def ended(tokenizer: Any, ids: Sequence[int]) -> list[int]:
    """`ids` with one end-of-sequence token as the last, and no beginning token twice.

    Some chat templates write a line break after the end of a turn, where a decoder has already stopped: a score that
    was trained on the line break would be read from another token in PPO.
    """
    kept, end, begin = list(ids), tokenizer.eos_token_id, tokenizer.bos_token_id
    if begin is not None and kept[:2] == [begin, begin]:
        kept = kept[1:]
    last = len(kept) - 1 - kept[::-1].index(end) if end in kept else None
    if last is None or tokenizer.decode(kept[last + 1 :]).strip():
        return [*kept, end]
    return kept[: last + 1]


@dataclass(frozen=True, slots=True)
class RankingCollator:
    """Whole prompts as one batch of padded responses.

    Of rows with K_1 … K_B responses: `input_ids` and `attention_mask` (K_1 + … + K_B, longest), padded on the right;
    `pairs` (P, 2), rows of `input_ids`, the better and the worse; `weights` (P,), one over the pairs of the prompt.
    """

    pad_token_id: int
    pad_to_multiple_of: int | None = None

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """The batch."""
        import torch

        sequences: list[list[int]] = []
        pairs: list[tuple[int, int]] = []
        weights: list[float] = []
        for row in rows:
            found = ranked_pairs(row["ranks"])
            pairs += [(len(sequences) + better, len(sequences) + worse) for better, worse in found]
            weights += [1 / len(found)] * len(found)
            sequences += row["response_ids"]
        batch = padded(sequences, self.pad_token_id, self.pad_to_multiple_of)
        return {**batch, "pairs": torch.tensor(pairs), "weights": torch.tensor(weights)}


def padded(sequences: Sequence[Sequence[int]], pad_token_id: int, multiple: int | None = None) -> dict[str, Tensor]:
    """`input_ids` and `attention_mask`, (N, longest), padded on the right."""
    import torch
    from trl.trainer.utils import pad

    ids = [torch.tensor(sequence) for sequence in sequences]
    mask = [torch.ones_like(sequence) for sequence in ids]
    return {
        "input_ids": pad(ids, pad_token_id, "right", multiple),
        "attention_mask": pad(mask, 0, "right", multiple),
    }


def _messages(said: Any, role: str) -> list[Any]:
    if isinstance(said, str):
        return [{"role": role, "content": said}] if said else []
    return list(said)


def _refused(index: int, field: str, reason: str, remedy: str) -> DataError:
    error = DataError(STEP, f"row {index}{', ' + field if field else ''}: {reason}", remedy)
    error.row, error.field = index, field
    return error
