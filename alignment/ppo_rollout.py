"""Responses to prompts: token ids as they were drawn, and which of them count.

Prompts are padded on the left and responses on the right. A response is live up to and with its first stop token; what
decides is the stop token alone, never the padding's id, which a policy may also draw.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from alignment.errors import DataError
from decoder.errors import Diverged


class SamplingSettings(Protocol):
    """What `generate` wants to know of a `PPOConfig`; others draw by it too."""

    @property
    def temperature(self) -> float:
        """Divides the logits."""

    @property
    def max_completion_length(self) -> int:
        """Tokens of a response."""

    @property
    def local_rollout_forward_batch_size(self) -> int:
        """Prompts at once."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """B episodes.

    Attributes:
        prompt_ids, prompt_mask: (B, P), padded on the left.
        response_ids: (B, T), padded on the right.
        live: (B, T), true for the response's own tokens, the stop token included.
        ended: (B,), whether a stop token ended it.
        weights: (B,), what each episode counts; 1 for those that were sampled.
    """

    prompt_ids: Tensor
    prompt_mask: Tensor
    response_ids: Tensor
    live: Tensor
    ended: Tensor
    weights: Tensor

    @property
    def ids(self) -> Tensor:
        """(B, P + T)."""
        return torch.cat([self.prompt_ids, self.response_ids], dim=1)

    @property
    def mask(self) -> Tensor:
        """(B, P + T), 1 where there is a token."""
        return torch.cat([self.prompt_mask, self.live.long()], dim=1)

    def responses(self) -> list[list[int]]:
        """The live token ids of each episode."""
        return [ids[live].tolist() for ids, live in zip(self.response_ids, self.live, strict=True)]


def encode_prompt(tokenizer: Any, row: Mapping[str, Any]) -> list[int]:
    """Token ids of a row's prompt: messages through the chat template, up to where the assistant begins; else text."""
    prompt = row["prompt"]
    if isinstance(prompt, str):
        return list(tokenizer(prompt)["input_ids"])
    arguments = {"tools": row["tools"]} if row.get("tools") else {}
    encoded = tokenizer.apply_chat_template(
        list(prompt), add_generation_prompt=True, tokenize=True, return_dict=True, **arguments
    )
    return list(encoded["input_ids"])


def encode_prompts(tokenizer: Any, rows: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """`encode_prompt` of each row. Raises DataError for one of no token, after which nothing can be drawn."""
    found = [encode_prompt(tokenizer, row) for row in rows]
    for number, prompt in enumerate(found):
        if not prompt:
            cause = f"row {number}, prompt: {rows[number]['prompt']!r} has no token"
            error = DataError("reading the data", cause, "Mend the row, or leave it out")
            error.row, error.field = number, "prompt"
            raise error
    return found


def pad_prompts(prompts: Sequence[Sequence[int]], pad: int, device: Any = None) -> tuple[Tensor, Tensor]:
    """Ids and mask, each (B, P), padded on the left."""
    from trl.trainer.utils import pad as padded

    rows = [torch.tensor(prompt, dtype=torch.long) for prompt in prompts]
    ids = padded(rows, padding_value=pad, padding_side="left")
    mask = padded([torch.ones_like(row) for row in rows], padding_value=0, padding_side="left")
    return ids.to(device), mask.to(device)


def collect(
    prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], stops: frozenset[int], pad: int, device: Any
) -> Rollout:
    """A rollout of responses that are cut after their first stop token; each has at least one token."""
    from trl.trainer.utils import pad as padded

    prompt_ids, prompt_mask = pad_prompts(prompts, pad, device)
    rows = [torch.tensor(response, dtype=torch.long) for response in responses]
    response_ids = padded(rows, padding_value=pad, padding_side="right").to(device)
    live = padded([torch.ones(len(row), dtype=torch.bool) for row in rows], padding_value=0, padding_side="right")
    ended = torch.tensor([response[-1] in stops for response in responses], device=device)
    weights = torch.ones(len(responses), device=device)
    return Rollout(prompt_ids, prompt_mask, response_ids, live.to(device), ended, weights)


def cut(ids: Sequence[int], stops: frozenset[int]) -> list[int]:
    """`ids` up to and with the first stop token."""
    for at, token in enumerate(ids):
        if token in stops:
            return list(ids[: at + 1])
    return list(ids)


def stop_tokens(policy: Any, tokenizer: Any) -> frozenset[int]:
    """The ids that end a response: the tokenizer's end of sequence, and those of the model's generation settings."""
    named = getattr(_base(policy).generation_config, "eos_token_id", None)
    several = named if isinstance(named, (list, tuple)) else [named]
    return frozenset(int(stop) for stop in [tokenizer.eos_token_id, *several] if stop is not None)


@torch.no_grad()
def generate(
    policy: Any, prompts: Sequence[Sequence[int]], stops: frozenset[int], pad: int, config: SamplingSettings
) -> list[list[int]]:
    """Draw one response to each prompt in this process, at `config.temperature` from the whole distribution.

    Raises Diverged when the policy's probabilities are no numbers.
    """
    drawn: list[list[int]] = []
    device = next(policy.parameters()).device
    with _plain_sampling(policy, stops, pad, config) as settings:
        for start in range(0, len(prompts), config.local_rollout_forward_batch_size):
            part = prompts[start : start + config.local_rollout_forward_batch_size]
            ids, mask = pad_prompts(part, pad, device)
            try:
                out = policy.generate(input_ids=ids, attention_mask=mask, generation_config=settings)
            except RuntimeError as error:
                if "probability tensor" not in str(error):
                    raise
                remedy = "Lower training.learning_rate"
                raise Diverged("generating", f"the policy's probabilities are no numbers: {error}", remedy) from error
            drawn += [cut(row, stops) for row in out[:, ids.shape[1] :].tolist()]
    return drawn


@contextlib.contextmanager
def _plain_sampling(policy: Any, stops: frozenset[int], pad: int, config: SamplingSettings) -> Iterator[Any]:
    """Generation settings under which nothing but the temperature changes the distribution.

    `generate` fills what they leave open from the model's own settings (repetition penalties, suppressed tokens), which
    would make the drawn tokens others than the ones that the log-probabilities are of; so those are set aside.
    """
    from transformers import GenerationConfig

    settings = GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=True,
        temperature=config.temperature,
        top_k=0,
        top_p=1.0,
        max_new_tokens=config.max_completion_length,
        eos_token_id=sorted(stops),
        pad_token_id=pad,
    )
    model = _base(policy)
    before, training = model.generation_config, policy.training
    model.generation_config = settings
    policy.eval()
    try:
        yield settings
    finally:
        model.generation_config = before
        policy.train(training)


def _base(policy: Any) -> Any:
    return policy.get_base_model() if hasattr(policy, "get_base_model") else policy
