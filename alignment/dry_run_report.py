"""What a dry run found, as data, as lines for people, and as plain data for machines."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alignment.preview import TRAINED, legend, visible

if TYPE_CHECKING:
    from alignment.data_report import DataReport
    from alignment.errors import MaskError
    from alignment.guard import MaskReport
    from alignment.memory import Memory
    from alignment.micro_step import Timing
    from alignment.token_mask import MaskedRow

MOST_LISTED = 10
ONLINE = ("ppo", "grpo", "rloo")


@dataclass(frozen=True, slots=True)
class TooLong:
    """A row that the stage leaves out for its length: its place among the training rows, and its tokens."""

    index: int
    tokens: int

    def __str__(self) -> str:
        return f"training row {self.index}: it has {self.tokens} tokens"


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a run would be.

    Attributes:
        output: the run's folder; `taken` when it is already there.
        data: what became of the rows that were read; None for a stage without rows.
        limit: tokens of a row at most.
        masks: the rows that are left, counted.
        too_long: the rows that the limit leaves out.
        steps: optimizer steps; `packed` when they are an estimate, because rows share sequences.
        preview: the first rows' masks.
        memory: the estimate; where there is none, `memory_unknown` says why.
        timing: None when nothing was to be measured.
        plan: what a stage without tokens will do.
        refusal: why the stage would not start.
    """

    stage: str
    name: str
    output: str
    taken: bool
    data: DataReport | None = None
    format: str = ""
    limit: int | None = None
    masks: MaskReport | None = None
    too_long: tuple[TooLong, ...] = ()
    steps: int | None = None
    packed: bool = False
    preview: tuple[MaskedRow, ...] = ()
    memory: Memory | None = None
    memory_unknown: str = ""
    timing: Timing | None = None
    plan: tuple[str, ...] = ()
    refusal: MaskError | None = None

    def with_(self, **changes: Any) -> DryRun:
        """With other values."""
        return dataclasses.replace(self, **changes)

    def facts(self) -> list[tuple[str, str]]:
        """Name and value of each line of the summary."""
        return [*self._about(), *self._data(), *self._tokens(), *self._cost()]

    def left_out(self) -> list[str]:
        """Every row that is not trained on, with the reason."""
        data = self.data
        return [*map(str, (*data.dropped, *data.matches) if data else ()), *map(str, self.too_long)]

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it."""
        skipped = ("data", "refusal", "preview", "memory", "timing", "masks")
        said = {
            field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name not in skipped
        }
        memory = {**dataclasses.asdict(self.memory), "total": self.memory.total} if self.memory else None
        return {
            **said,
            "plan": list(self.plan),
            "too_long": [dataclasses.asdict(row) for row in self.too_long],
            "data": self.data.plain() if self.data else None,
            "masks": _without_lengths(self.masks) if self.masks else None,
            "memory": memory,
            "timing": dataclasses.asdict(self.timing) if self.timing else None,
            "preview": [dataclasses.asdict(row) for row in self.preview],
            "refusal": str(self.refusal) if self.refusal else None,
        }

    @property
    def live(self) -> str:
        """What the live tokens of the preview are."""
        if self.stage in ONLINE:
            return "trained: nothing yet, what will be is still to be written"
        return "the response, scored at its last token" if self.stage == "reward" else TRAINED

    def __str__(self) -> str:
        from alignment.preview import to_text

        lines = [f"{name}: {value}".removeprefix(": ") for name, value in self.facts()]
        lines += ["", legend(self.live), *(f"\n{to_text(row).plain}" for row in self.preview)] if self.preview else []
        return "\n".join([*lines, *([f"\nrefused: {visible(str(self.refusal))}"] if self.refusal else [])])

    def _about(self) -> Iterator[tuple[str, str]]:
        yield "stage", f"{self.stage}, recipe {self.name}"
        yield "output", self.output + (" (there is a run already: --resume, or another output)" if self.taken else "")
        yield from (("plan", line) for line in self.plan)

    def _data(self) -> Iterator[tuple[str, str]]:
        data = self.data
        if data is None:
            return
        read = f"{data.rows:,} read from {data.source}"
        yield "rows", f"{data.train_rows:,} to train on, {data.eval_rows:,} to evaluate on; {read}"
        counts = {
            "cannot be used": len(data.dropped),
            "duplicates": data.duplicates,
            "hold evaluation questions": data.contaminated,
            f"longer than {self.limit} tokens": len(self.too_long),
        }
        told = [f"{count:,} {what}" for what, count in counts.items() if count]
        yield "left out", ", ".join(told) or "none"
        some = self.left_out()
        yield from (("", visible(line)) for line in some[:MOST_LISTED])
        if len(some) > MOST_LISTED:
            yield "", f"and {len(some) - MOST_LISTED:,} more"
        yield from (("note", note) for note in data.notes)

    def _tokens(self) -> Iterator[tuple[str, str]]:
        masks = self.masks
        if masks is None:
            return
        if self.stage in ONLINE:
            yield "tokens", f"{masks.tokens:,} of prompts"
        elif self.stage == "reward":
            yield "tokens", f"{masks.tokens:,} in {masks.sequences:,} sequences, each scored at its last token"
        else:
            share = masks.live / masks.tokens if masks.tokens else 0.0
            yield "tokens", f"{masks.tokens:,} in {masks.sequences:,} sequences, {masks.live:,} trained ({share:.0%})"
        limit = f"; the limit is {self.limit:,}" if self.limit else ""
        yield "longest", f"{masks.longest:,} tokens{limit}"
        if self.steps is not None:
            yield "steps", f"{self.steps:,}" + (", about: rows share sequences" if self.packed else "")

    def _cost(self) -> Iterator[tuple[str, str]]:
        if self.memory:
            yield from _memory_lines(self.memory)
        elif self.memory_unknown:
            yield "memory", f"unknown: {visible(self.memory_unknown)}"
        if self.timing:
            yield from _timing_lines(self.timing)


def _memory_lines(memory: Memory) -> Iterator[tuple[str, str]]:
    parts = {
        "weights": memory.weights,
        "gradients": memory.gradients,
        "optimizer": memory.optimizer,
        "activations": memory.activations,
        "reference": memory.reference,
    }
    told = ", ".join(f"{name} {_size(value)}" for name, value in parts.items() if value)
    yield "parameters", f"{memory.parameters:,}, of which trained {memory.trainable:,}"
    yield "memory", f"about {_size(memory.total)}: {told}"
    yield "", f"for {memory.batch} sequences of {memory.length:,} tokens at once"
    yield from (("", f"not counted: {note}") for note in memory.notes)
    yield "", memory.formula


def _timing_lines(timing: Timing) -> Iterator[tuple[str, str]]:
    if timing.skipped:
        yield "time", f"not measured: {timing.skipped}"
        return
    yield "time", f"about {duration(timing.total)}, {timing.step:.3g} s a step, on {timing.device}"
    yield "", f"from one micro-step of {timing.tokens:,} tokens in {timing.micro_step:.3g} s: {timing.includes}"


def duration(seconds: float) -> str:
    """As in "42 s", "3 min" and "5.2 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _size(size: int) -> str:
    """In decimal units."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} B"


def _without_lengths(masks: MaskReport) -> dict[str, Any]:
    said = dataclasses.asdict(masks)
    del said["lengths"]
    return said
