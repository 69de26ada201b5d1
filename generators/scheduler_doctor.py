"""Settings of a scheduler that contradict each other, refused before anything is drawn.

check_scheduler(pipeline.scheduler, steps=20, latent=True)

diffusers accepts all of these and draws worse pictures without a word. The rules are in `scheduler_rules`; each says
which keys contradict each other, why (measured or cited) and what to set instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from generators.errors import SchedulerError
from generators.scheduler_rules import RULES, Rule, Setting

STEP = "checking the scheduler"


def check_scheduler(
    scheduler: Any,
    *,
    steps: int | None = None,
    training: Mapping[str, Any] | None = None,
    latent: bool = False,
    step_options: Mapping[str, Any] | None = None,
) -> None:
    """Refuse a scheduler, or a configuration with its `_class_name`, that would degrade pictures silently.

    Args:
        scheduler: of diffusers, or its configuration.
        steps: that will be drawn with, where known.
        training: the configuration of the schedule that the network was trained with, where known.
        latent: the network works on latents rather than on pixels in [-1, 1].
        step_options: what each call of `step` will be given, as in {"use_clipped_model_output": True}.

    Raises:
        SchedulerError: names the keys and the remedy of every rule that is broken.
    """
    broken = broken_rules(scheduler, steps=steps, training=training, latent=latent, step_options=step_options)
    if broken:
        causes = "; ".join(f"{rule.keys}: {rule.reason}" for rule in broken)
        raise SchedulerError(STEP, causes, "; ".join(dict.fromkeys(rule.remedy for rule in broken)))


def broken_rules(
    scheduler: Any,
    *,
    steps: int | None = None,
    training: Mapping[str, Any] | None = None,
    latent: bool = False,
    step_options: Mapping[str, Any] | None = None,
) -> list[Rule]:
    """The rules that `check_scheduler` would name, none for a sound configuration."""
    given = scheduler if isinstance(scheduler, Mapping) else scheduler.config
    name = str(given.get("_class_name", "")) if isinstance(scheduler, Mapping) else type(scheduler).__name__
    setting = Setting(name, {**_defaults(name), **given}, steps, training, latent, dict(step_options or {}))
    return [rule for rule in RULES if rule.breaks(setting)]


def rules_table() -> str:
    """The rules as a Markdown table, for the documentation."""
    rows = [f"| {rule.keys} | {rule.reason} | {rule.remedy} |" for rule in RULES]
    return "\n".join(["| keys | why it is refused | remedy |", "|---|---|---|", *rows])


def _defaults(name: str) -> dict[str, Any]:
    """What a class of diffusers takes where its configuration is silent."""
    import inspect

    import diffusers

    cls = getattr(diffusers, name, None)
    if cls is None:
        return {}
    found = inspect.signature(cls.__init__).parameters.values()
    return {p.name: p.default for p in found if p.default is not inspect.Parameter.empty}
