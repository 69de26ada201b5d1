"""The policy and its value function as one module, so that one forward serves both and one wrapper distributes both.

The value of the state before a response token is read at the same position as that token's log-probability.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


SMALL = 2**22
"""Logits that are few."""


class Predictions(NamedTuple):
    """Of the response tokens; each (B, T). `values` is None where they were not asked for."""

    logprobs: Tensor
    entropy: Tensor
    values: Tensor | None


class ActorCritic(nn.Module):
    """A policy with a value head on its hidden states, or beside a separate critic.

    Args:
        policy: a causal language model, with or without a peft adapter.
        backbone: a headless model of its own for the critic; None puts the head on the policy.
    """

    # TRL's unwrap_model_for_generation asks. Generation is in eval mode, where checkpointing rests anyway.
    is_gradient_checkpointing = False

    def __init__(self, policy: Any, backbone: Any = None) -> None:
        super().__init__()
        self.policy = policy
        self.backbone = backbone
        sized = policy if backbone is None else backbone
        weights = next(p for p in sized.parameters() if p.is_floating_point())
        dtype = torch.promote_types(weights.dtype, torch.float32)
        self.value_head = nn.Linear(_width(sized), 1, device=weights.device, dtype=dtype)
        # As in the N+ details: the first baseline is 0 everywhere, not noise.
        nn.init.zeros_(self.value_head.weight)
        nn.init.zeros_(self.value_head.bias)

    def forward(
        self, ids: Tensor, mask: Tensor, width: int, temperature: float, with_values: bool = True
    ) -> Predictions:
        """Predict the last `width` tokens of each row.

        Args:
            ids: (B, L), prompts padded on the left and responses on the right.
            mask: (B, L), 1 where there is a token.
            temperature: divides the logits, as sampling did.
        """
        on_policy = with_values and self.backbone is None
        logprobs, entropy, hidden = predict(self.policy, ids, mask, width, temperature, on_policy)
        if not with_values:
            return Predictions(logprobs, entropy, None)
        if self.backbone is not None:
            outputs = self.backbone(input_ids=ids, attention_mask=mask, position_ids=positions(mask), use_cache=False)
            hidden = outputs.last_hidden_state
        return Predictions(logprobs, entropy, self._values(hidden[:, -width - 1 : -1]))

    def _values(self, hidden: Tensor) -> Tensor:
        with torch.autocast(hidden.device.type, enabled=False):
            values: Tensor = self.value_head(hidden.to(self.value_head.weight.dtype)).squeeze(-1)
        return values


def predict(
    policy: Any, ids: Tensor, mask: Tensor, width: int, temperature: float, with_hidden: bool = False
) -> tuple[Tensor, Tensor, Any]:
    """Log-probabilities and entropies (B, width) of the last `width` tokens, and the last hidden states (B, L, D).

    The logits at a position predict the token after it. Entropies carry no gradient.
    """
    from trl.trainer.utils import selective_log_softmax_and_entropy

    outputs = policy(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions(mask),
        logits_to_keep=width + 1,
        output_hidden_states=with_hidden,
        use_cache=False,
    )
    logits = outputs.logits[:, -width - 1 : -1]
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    taken = ids[:, -width:]
    # TRL's function goes over the rows in Python to save memory; where there is little to save, all are one row.
    rows = (-1, width) if logits.numel() > SMALL else (1, -1)
    logprobs, entropy = selective_log_softmax_and_entropy(
        logits.reshape(*rows, logits.shape[-1]),
        taken.reshape(rows),
        entropy_requires_grad=False,
        temperature=temperature,
    )
    hidden = outputs.hidden_states[-1] if with_hidden else None
    return logprobs.view_as(taken), entropy.view_as(taken), hidden


def positions(mask: Tensor) -> Tensor:
    """Positions that count from a row's first token, however much padding stands before it (Huang et al. 2024)."""
    return (mask.long().cumsum(1) - 1).clamp(min=0)


def without_dropout(model: nn.Module) -> None:
    """Turn dropout off for good: with it the ratio would not be 1 on the first minibatch (Huang et al. 2024)."""
    from trl.trainer.utils import disable_dropout_in_model

    disable_dropout_in_model(model)
    for module in model.modules():
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0  # type: ignore[assignment]


class Reference:
    """The policy as it was before training.

    Args:
        model: the `ActorCritic`, wrapped by accelerate or not.
        policy: the policy in it.
        frozen: a copy of the policy; None for an adapter's model, which is its own reference.
        adapter: name of a frozen second adapter, where training goes on from an adapter; empty: none at all.
    """

    def __init__(self, model: Any, policy: Any, frozen: Any = None, adapter: str = "") -> None:
        self.model, self.policy, self.frozen, self.adapter = model, policy, frozen, adapter

    @torch.no_grad()
    def logprobs(self, ids: Tensor, mask: Tensor, width: int, temperature: float) -> Tensor:
        """(B, width), as `ActorCritic.forward`."""
        if self.frozen is not None:
            return predict(self.frozen, ids, mask, width, temperature)[0]
        with self._swapped():
            found: Predictions = self.model(ids, mask, width, temperature, with_values=False)
        return found.logprobs

    @contextlib.contextmanager
    def _swapped(self) -> Iterator[None]:
        from trl.trainer.utils import use_adapter

        with use_adapter(self.policy, self.adapter or None):
            yield


def _width(model: Any) -> int:
    config = model.config.get_text_config()
    return int(config.hidden_size)
