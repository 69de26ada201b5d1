"""One trained diffusion or flow model, drawn from in many ways: steps against quality and time, guidance against both.

rows = study_steps(load_model("runs/ddpm-digits/model"), split, judge_for(split.train))
print(steps_table(rows))
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from decoder.runs.markdown import table
from generators.metrics import Measures, Reference, measure_against

if TYPE_CHECKING:
    from torch import Tensor

    from generators.judge import Judge
    from generators.model import GenerativeModel
    from generators.pictures import Split

STEPS: tuple[tuple[str, int], ...] = (
    *(("ddim", steps) for steps in (5, 10, 20, 50)),
    *((name, steps) for name in ("dpm++", "unipc", "heun") for steps in (5, 10, 20)),
    ("ddpm", 1000),
)
"""What a DDPM is drawn with; the last row is what the others are held against."""
FLOW_STEPS: tuple[tuple[str, int], ...] = tuple(
    (name, steps) for name in ("flow_euler", "flow_heun") for steps in (5, 10, 20, 50)
)
SCALES = (0.0, 1.0, 1.5, 2.0, 3.0, 5.0)


@dataclass(frozen=True, slots=True)
class StudyRow:
    """One way to draw.

    Attributes:
        scheduler, steps, guidance_scale: of `sample`; a scale of None is the model's own.
        seconds: of CPU, for all `measures.n` pictures.
        measures: of the pictures.
    """

    scheduler: str
    steps: int
    guidance_scale: float | None
    seconds: float
    measures: Measures

    def plain(self) -> dict[str, Any]:
        """As data for JSON."""
        about = {"scheduler": self.scheduler, "steps": self.steps, "guidance_scale": self.guidance_scale}
        return {**about, "seconds": self.seconds, "measures": self.measures.plain()}


def study_steps(
    model: GenerativeModel,
    split: Split,
    judge: Judge,
    ways: Sequence[tuple[str, int]] | None = None,
    count: int = 397,
    seed: int = 0,
) -> list[StudyRow]:
    """One row for each scheduler and number of steps; by default `STEPS`, or `FLOW_STEPS` for a flow. Steps are at most
    as many as the model was trained with.

    Raises:
        SchedulerError: a scheduler does not fit the model.
    """
    chosen = ways or (FLOW_STEPS if model.family == "flow_matching" else STEPS)
    fitting = dict.fromkeys((name, _at_most(model, steps)) for name, steps in chosen)
    reference = Reference.of(split, judge)
    return [_row(model, reference, name, steps, None, count, seed) for name, steps in fitting]


def study_guidance(
    model: GenerativeModel,
    split: Split,
    judge: Judge,
    scales: Sequence[float] | None = None,
    steps: int = 20,
    count: int = 397,
    seed: int = 0,
) -> list[StudyRow]:
    """One row for each guidance scale, by default `SCALES`: 0 without classes, 1 conditional, more than 1 guided."""
    scheduler = "flow_euler" if model.family == "flow_matching" else "ddim"
    reference = Reference.of(split, judge)
    return [_row(model, reference, scheduler, _at_most(model, steps), scale, count, seed) for scale in scales or SCALES]


def _at_most(model: GenerativeModel, steps: int) -> int:
    """No scheduler takes more steps than a DDPM was trained with; a flow has no such number."""
    return min(steps, getattr(model.config, "timesteps", steps))


def _row(
    model: GenerativeModel, reference: Reference, name: str, steps: int, scale: float | None, count: int, seed: int
) -> StudyRow:
    from generators.model import even_labels
    from generators.sample import sample

    options: dict[str, Any] = {"scheduler": name, "steps": steps}
    options |= {} if scale is None else {"guidance_scale": scale}
    begun = time.process_time()
    drawn: Tensor = sample(model, count, seed=seed, **options)
    seconds = time.process_time() - begun
    labels = even_labels(count, model.shape.classes) if "labels" in model.hears else None
    return StudyRow(name, steps, scale, seconds, measure_against(drawn, reference, labels))


STEPS_HEAD = ("scheduler", "steps", "FID", "accuracy", "recall", "coverage", "CPU seconds")
GUIDANCE_HEAD = ("guidance scale", "accuracy", "FID", "precision", "recall", "diversity")


def steps_cells(rows: Sequence[StudyRow]) -> list[list[str]]:
    """Scheduler and steps against quality and CPU seconds, as texts below `STEPS_HEAD`."""
    return [
        [row.scheduler, str(row.steps), *_shown(row, "fid", "accuracy", "recall", "coverage"), f"{row.seconds:.1f}"]
        for row in rows
    ]


def guidance_cells(rows: Sequence[StudyRow]) -> list[list[str]]:
    """Guidance scale against accuracy, FID and diversity, as texts below `GUIDANCE_HEAD`."""
    names = ("accuracy", "fid", "precision", "recall", "diversity")
    return [[str(row.guidance_scale), *_shown(row, *names)] for row in rows]


def steps_table(rows: Sequence[StudyRow]) -> str:
    """`steps_cells` as Markdown."""
    return table(STEPS_HEAD, steps_cells(rows))


def guidance_table(rows: Sequence[StudyRow]) -> str:
    """`guidance_cells` as Markdown."""
    return table(GUIDANCE_HEAD, guidance_cells(rows))


def _shown(row: StudyRow, *names: str) -> list[str]:
    found = [getattr(row.measures, name) for name in names]
    return ["" if figure is None else str(figure) for figure in found]
