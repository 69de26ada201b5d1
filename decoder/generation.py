"""The token loop of the embedded decoder: transformers' `generate`, with the drawing of tokens done here.

Runs in a worker thread and hands out events as tokens are drawn. A logits processor draws the token of each row
from its own seeded generator and leaves `generate` that token only; a stopping criterion ends rows and, when
cancelled, all of them before the next forward pass. Knows nothing of messages.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from decoder.masking import Mask
from decoder.types import Event, FinishReason, Sampling, TextDelta, TokenLogprob

if TYPE_CHECKING:
    import torch


@dataclass
class Row:
    """One completion in the making.

    Attributes:
        text: everything said, up to a stop string.
        sent: how many characters of it have gone out.
    """

    index: int
    mask: Mask | None
    ids: list[int] = field(default_factory=list)
    text: str = ""
    sent: int = 0
    finish_reason: FinishReason | None = None
    logprobs: list[TokenLogprob] = field(default_factory=list)
    sent_logprobs: int = 0
    _prefix: int = 0
    _read: int = 0

    def extend(self, tokenizer: Any, last: bool) -> None:
        """Add the text of the new ids; a character that is not whole yet waits, unless this is the `last` id.

        Decoding a short window twice keeps the spaces that a tokenizer writes between tokens only.
        """
        old = tokenizer.decode(self.ids[self._prefix : self._read], skip_special_tokens=True)
        new = tokenizer.decode(self.ids[self._prefix :], skip_special_tokens=True)
        if last or (len(new) > len(old) and not new.endswith("\ufffd")):
            self.text += new[len(old) :]
            self._prefix, self._read = self._read, len(self.ids)

    def cut(self, stops: Sequence[str]) -> bool:
        """End the text before the first stop string, if one has been said."""
        found = [at for stop in stops if (at := self.text.find(stop, self.sent)) >= 0]
        if found:
            self.text = self.text[: min(found)]
        return bool(found)

    def take(self, stops: Sequence[str]) -> TextDelta | None:
        """What can go out now: all but a tail that may become a stop string."""
        end = len(self.text)
        if self.finish_reason is None:
            unsent = self.text[self.sent :]
            tails = (n for s in stops for n in range(min(len(s) - 1, len(unsent)), 0, -1) if unsent.endswith(s[:n]))
            end -= max(tails, default=0)
        piece = self.text[self.sent : end]
        scores = tuple(self.logprobs[self.sent_logprobs :])
        if not piece and not (scores and self.finish_reason):
            return None
        self.sent, self.sent_logprobs = end, len(self.logprobs)
        return TextDelta(piece, self.index, scores)


@dataclass(frozen=True)
class Job:
    """One request, ready to run.

    Attributes:
        ids: the prompt.
        sampling: with temperature and max_tokens filled in.
        end_tokens: ids that end a row.
        masks: one a row when constrained, else empty.
        emit: is given each event, in the worker thread; None runs silently.
        cancelled: set by the reader to end the job within one token.
    """

    ids: Sequence[int]
    sampling: Sampling
    end_tokens: frozenset[int]
    masks: Sequence[Mask] = ()
    emit: Callable[[Event], None] | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)


def run(model: Any, tokenizer: Any, job: Job) -> list[Row]:
    """Generate `job.sampling.n` rows. Raises ConstraintIgnored, and what torch raises."""
    import torch
    from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

    rows = [Row(index, job.masks[index] if job.masks else None) for index in range(job.sampling.n)]
    prompt = torch.tensor([list(job.ids)], device=model.device)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else min(job.end_tokens, default=0)
    configure: Any = GenerationConfig  # untyped in transformers
    config = configure(
        do_sample=True,
        num_return_sequences=len(rows),
        max_new_tokens=job.sampling.max_tokens,
        pad_token_id=pad,
        eos_token_id=sorted(job.end_tokens) or None,
        # Said outright, or the model's own defaults would be applied before our drawing.
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        repetition_penalty=1.0,
    )
    with torch.inference_mode():
        model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            generation_config=config,
            logits_processor=LogitsProcessorList([_Drawing(tokenizer, job, rows)]),
            stopping_criteria=StoppingCriteriaList([_Ending(job, rows)]),
        )
    return rows


class _Drawing:
    """A logits processor that draws each row's token and forbids all others."""

    def __init__(self, tokenizer: Any, job: Job, rows: Sequence[Row]) -> None:
        import torch

        self._tokenizer, self._job, self._rows = tokenizer, job, rows
        seed = job.sampling.seed
        self._generator = torch.Generator().manual_seed(secrets.randbits(63) if seed is None else seed)

    def __call__(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        import torch

        raw = scores.float().cpu()
        only = torch.full_like(raw, -torch.inf)
        for row, before, scores_of_row in zip(self._rows, ids.cpu(), raw, strict=True):
            token = 0
            if row.finish_reason is None:
                token = self._draw(row, before[None], scores_of_row[None])
            only[row.index, token] = 0.0
        return only.to(scores.device)

    def _draw(self, row: Row, before: torch.Tensor, raw: torch.Tensor) -> int:
        import torch

        scores = _penalised(self._job.sampling, before, raw.clone(), len(self._job.ids))
        if row.mask is not None:
            row.mask.apply(scores)
        if self._job.sampling.temperature == 0:
            token = int(scores.argmax())
        else:
            probabilities = torch.softmax(_warped(self._job.sampling, before, scores), dim=-1)
            token = int(torch.multinomial(probabilities, 1, generator=self._generator))
        self._accept(row, token, raw)
        return token

    def _accept(self, row: Row, token: int, raw: torch.Tensor) -> None:
        job = self._job
        row.ids.append(token)
        if job.sampling.logprobs is not None:
            row.logprobs.append(_logprob(self._tokenizer, token, raw[0], job.sampling.logprobs))
        if row.mask is not None:
            row.mask.accept(token)
        ended = token in job.end_tokens
        full = len(row.ids) == job.sampling.max_tokens
        row.extend(self._tokenizer, last=ended or full)
        if row.cut(job.sampling.stop) or ended:
            row.finish_reason = "stop"
        elif full:
            row.finish_reason = "length"
        if job.emit is not None and (delta := row.take(job.sampling.stop)):
            job.emit(delta)


class _Ending:
    """A stopping criterion: rows that have ended, and all of them once cancelled."""

    def __init__(self, job: Job, rows: Sequence[Row]) -> None:
        self._job, self._rows = job, rows

    def __call__(self, ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        import torch

        stopped = self._job.cancelled.is_set()
        return torch.tensor([stopped or row.finish_reason is not None for row in self._rows], device=ids.device)


def _penalised(sampling: Sampling, before: torch.Tensor, scores: torch.Tensor, prompt_length: int) -> torch.Tensor:
    """Repetition over prompt and output (Keskar et al. 2019); presence and frequency over the output, as OpenAI's."""
    import torch
    from transformers import RepetitionPenaltyLogitsProcessor

    if sampling.repetition_penalty not in (None, 1.0):
        scores = RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty)(before, scores)
    presence, frequency = sampling.presence_penalty or 0.0, sampling.frequency_penalty or 0.0
    if presence or frequency:
        counts = torch.bincount(before[0, prompt_length:], minlength=scores.shape[-1]).to(scores.dtype)
        scores = scores - presence * (counts > 0) - frequency * counts
    return scores


def _warped(sampling: Sampling, before: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """Temperature, then top-k, top-p and min-p, in transformers' order and by its code."""
    from transformers import MinPLogitsWarper, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    warpers: list[Any] = []
    if sampling.temperature not in (None, 1.0):
        warpers.append(TemperatureLogitsWarper(float(sampling.temperature)))
    if sampling.top_k is not None and sampling.top_k > 0:
        warpers.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p is not None and sampling.top_p < 1:
        warpers.append(TopPLogitsWarper(sampling.top_p))
    if sampling.min_p:
        warpers.append(MinPLogitsWarper(sampling.min_p))
    for warper in warpers:
        scores = warper(before, scores)
    return scores


def _logprob(tokenizer: Any, token: int, raw: torch.Tensor, alternatives: int) -> TokenLogprob:
    """Of the model's own distribution, before penalties, mask and temperature."""
    import torch

    logprobs = torch.log_softmax(raw, dim=-1)
    values, ids = torch.topk(logprobs, min(alternatives, logprobs.shape[-1]))
    top = tuple((tokenizer.decode([i]), value) for i, value in zip(ids.tolist(), values.tolist(), strict=True))
    return TokenLogprob(tokenizer.decode([token]), float(logprobs[token]), token, top)
