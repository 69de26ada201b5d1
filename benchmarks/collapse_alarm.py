"""Does the alarm for mode collapse ring when a GAN collapses, how soon, and never for a healthy one?

python -m benchmarks.collapse_alarm [--seeds 0,1,2,3,4] [--seconds 0]

Trains the recipes dcgan-collapse (ended by its alarm) and dcgan-digits with each seed. Printed: how many runs were
flagged; the CPU seconds from the beginning of the first evaluation after warm-up at which fewer than half of the modes
were covered, by generators.metrics with the first judge, to the alarm; the fewest modes covered after warm-up, by the
first judge and by the second, which the alarm does not use. --seconds is another budget for the healthy runs. Exits
with 1 when a collapse is not flagged within 60 CPU seconds, or a healthy run is flagged.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from generators import alarms, trainer_watching
from generators.judge import judge_for
from generators.metrics import Reference, measure_against
from generators.recipe import load_recipe
from generators.train import train

LIMIT_SECONDS = 60.0


@dataclass
class Seen:
    """What one run's evaluations saw: CPU seconds and fewest modes after warm-up."""

    fallen: float | None = None
    rung: float | None = None
    step: int = -1
    fewest: list[float] = field(default_factory=lambda: [float("inf")] * 2)
    looks: int = 0
    texts: list[str] = field(default_factory=list)

    @property
    def delay(self) -> float:
        """CPU seconds from the fall to the alarm."""
        return self.rung - self.fallen if self.rung is not None and self.fallen is not None else float("nan")


def recording(seen: Seen, inner: type[alarms.Watch]) -> type[alarms.Watch]:
    """The watch, with the second judge looking on."""

    class Recorder(inner):  # type: ignore[misc, valid-type]
        def __init__(self, section: Any, split: Any, judge: Any) -> None:
            super().__init__(section, split, judge)
            self.both = [Reference.of(split, judge_for(split.train, which)) for which in ("first", "second")]
            self.warmup = section.warmup

        def look(self, step: int, progress: float, samples: Any, losses: Any, figures: Any) -> alarms.Sighting:
            began = time.process_time()
            if progress >= self.warmup:
                modes = [measure_against(samples, known, resamples=0).modes.value for known in self.both]
                seen.looks, seen.fewest = seen.looks + 1, [min(pair) for pair in zip(seen.fewest, modes, strict=True)]
                if modes[0] < self.both[0].modes.present / 2 and seen.fallen is None:
                    seen.fallen = began
            found: alarms.Sighting = super().look(step, progress, samples, losses, figures)
            for alarm in found.alarms:
                if alarm.kind == "collapse" and seen.rung is None:
                    seen.rung, seen.step = time.process_time(), step
                seen.texts.append(alarm.text)
            return found

    return Recorder


def run(recipe: str, seed: int, folder: Path, *overrides: str) -> Seen:
    """Train one recipe with one seed and watch it."""
    seen, inner = Seen(), alarms.Watch
    trainer_watching.Watch = recording(seen, inner)
    try:
        train(load_recipe(recipe, [f"seed={seed}", f"output={folder / f'{recipe}-{seed}'}", *overrides]))
    finally:
        trainer_watching.Watch = inner
    return seen


def main() -> int:
    """Print a line a run, and the sums."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--seconds", type=float, default=0.0)
    given = parser.parse_args()
    seeds = [int(seed) for seed in given.seeds.split(",")]
    budget = [f"training.budget_seconds={given.seconds}"] if given.seconds else []
    flagged, in_time, false = 0, 0, 0
    print("recipe          seed  flagged at step  delay, CPU s  fewest modes  evaluations after warm-up")
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            seen = run("dcgan-collapse", seed, Path(folder), "alarms.stop=true")
            flagged, in_time = flagged + (seen.rung is not None), in_time + (seen.delay <= LIMIT_SECONDS)
            tell("dcgan-collapse", seed, seen)
            seen = run("dcgan-digits", seed, Path(folder), *budget)
            false += seen.rung is not None
            tell("dcgan-digits", seed, seen)
    print(f"collapses flagged: {flagged} of {len(seeds)}; within {LIMIT_SECONDS:g} CPU s of the fall: {in_time}")
    print(f"healthy runs flagged: {false} of {len(seeds)}")
    return 0 if in_time == len(seeds) and not false else 1


def tell(recipe: str, seed: int, seen: Seen) -> None:
    """One line, and the alarms' texts."""
    step = str(seen.step) if seen.rung is not None else "no"
    modes = f"{seen.fewest[0]:5.0f} {seen.fewest[1]:6.0f}"
    print(f"{recipe:15} {seed:4}  {step:>15}  {seen.delay:12.2f}  {modes}  {seen.looks:d}", flush=True)
    for text in seen.texts:
        print(f"    {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
