"""A model and adapters over it, in memory once: answers drawn from each, and how far each has gone from the model.

What preference training did is told by both: what is gained, and the KL that was spent on it (Gao et al. 2023).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from alignment.errors import ModelError
from alignment.models import checked_adapter, load_decoder, load_tokenizer
from alignment.ppo_critic import predict
from alignment.ppo_rollout import collect, encode_prompts, generate, stop_tokens
from alignment.sections import ModelSection

STEP = "loading the adapters"
FIRST = "default"
"""peft's name of the adapter that a model is loaded with."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """How answers are drawn: from the whole distribution, in tokens at most, all prompts of a call at once."""

    max_completion_length: int = 64
    temperature: float = 1.0
    local_rollout_forward_batch_size: int = 2**31


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that was drawn.

    Attributes:
        text: without special tokens.
        nats: log-probability under what drew it minus that under the base, summed over its tokens, the stop token
            included; its mean over answers estimates the KL from the base, and it is 0 for the base itself.
    """

    text: str
    nats: float


class Policies:
    """A base model and adapters of it, in float32.

    Args:
        base: a folder, hub name or artefact with a whole model.
        adapters: folders or artefacts with LoRA adapters of that base, at least one.

    Raises:
        ModelError: something cannot be loaded, or an adapter is no safetensors.
        WrongBase: an adapter belongs to another base model.
    """

    def __init__(self, base: str, adapters: Sequence[str]) -> None:
        first, *others = [checked_adapter(each, base) for each in adapters]
        section = ModelSection(path=base, adapter=str(first), dtype="float32")
        self.tokenizer = load_tokenizer(section)
        self.policy = load_decoder(section, trainable=False).eval()
        self._names = [FIRST]
        for at, folder in enumerate(others, 1):
            self._names.append(f"{FIRST}_{at}")
            _put_beside(self.policy, folder, self._names[-1])

    @torch.no_grad()
    def draw(
        self, adapter: int | None, rows: Sequence[Mapping[str, Any]], seed: int, drawing: Drawing | None = None
    ) -> list[Answer]:
        """One answer to each row's prompt. Equal seeds and rows draw with equal random numbers from every policy.

        Args:
            adapter: its place in the list of adapters; None for the base.

        Raises:
            DataError: a prompt has no token.
            Diverged: the probabilities are no numbers.
        """
        drawing, pad = drawing or Drawing(), int(self.tokenizer.pad_token_id)
        stops, prompts = stop_tokens(self.policy, self.tokenizer), encode_prompts(self.tokenizer, rows)
        with torch.random.fork_rng(), self._as(adapter):
            torch.manual_seed(seed)
            responses = generate(self.policy, prompts, stops, pad, drawing)
        rollout = collect(prompts, responses, stops, pad, self.policy.device)
        width, temperature = rollout.live.shape[1], drawing.temperature
        found = []
        for place in (adapter, None):
            with self._as(place):
                found.append(predict(self.policy, rollout.ids, rollout.mask, width, temperature)[0])
        nats = ((found[0] - found[1]) * rollout.live).double().sum(1).tolist()
        texts = self.tokenizer.batch_decode(rollout.responses(), skip_special_tokens=True)
        return [Answer(text.strip(), gone) for text, gone in zip(texts, nats, strict=True)]

    def _as(self, adapter: int | None) -> Any:
        from trl.trainer.utils import use_adapter

        return use_adapter(self.policy, None if adapter is None else self._names[adapter])


def _put_beside(policy: Any, folder: Path, name: str) -> None:
    from safetensors import SafetensorError

    try:
        policy.load_adapter(str(folder), name, is_trainable=False)
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        cause = f"{folder}: {(str(error).strip().splitlines() or [type(error).__name__])[0][:300]}"
        raise ModelError(STEP, cause, "Give a folder that peft saved for this model") from error
