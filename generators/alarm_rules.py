"""Alarms that need figures alone: posterior collapse and overfitting."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

ACTIVE_SHARE = 0.25
"""Of a code's units; with fewer active ones the posterior has collapsed."""
PATIENCE = 3
"""Evaluations since the best bound before overfitting is told."""
GIVEN_BACK = 0.02
"""Part of what the bound had gained that must be lost again; less is noise."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that went wrong.

    Attributes:
        kind: "collapse", "posterior_collapse", "memorisation" or "overfitting".
        step: of the run.
        text: what was seen, and what can be done.
        figures: that it rests on.
    """

    kind: str
    step: int
    text: str
    figures: dict[str, float] = field(default_factory=dict)


def posterior_collapse(step: int, figures: Mapping[str, float]) -> Alarm | None:
    """Too few units of the code say anything of the picture (active units: Burda et al., Importance weighted
    autoencoders, 2015).

    `figures` has "active_units", and "units" or "kl"; without "units", less than one active unit rings.
    """
    active = figures.get("active_units")
    if active is None:
        return None
    units = figures.get("units", math.nan)
    fewest = ACTIVE_SHARE * units if units == units else 1.0
    if active >= fewest:
        return None
    of = f" of {units:g}" if units == units else ""
    kl = f" and a KL of {figures['kl']:.2f} nats" if "kl" in figures else ""
    text = (
        f"Posterior collapse: {active:g}{of} units of the code are active{kl}; the decoder does without the code. "
        "Lower beta, or raise it slowly from 0, or make the decoder weaker."
    )
    return Alarm("posterior_collapse", step, text, {"active_units": active, **_finite({"units": units})})


def overfits(step: int, past: list[dict[str, float]], losses: Mapping[str, float], bound: float) -> Alarm | None:
    """The held-out bound has risen over several evaluations while the training loss went on falling.

    `past` has each evaluation's step, bound and loss, to which this one is added; only the first, and those since the
    best, are kept.
    """
    loss = sum(value for name, value in losses.items() if name.rpartition("/")[2] == "loss")
    past.append({"step": float(step), "bound": bound, "loss": loss})
    best = min(range(len(past)), key=lambda i: past[i]["bound"])
    since = past[best:]
    gained = past[0]["bound"] - since[0]["bound"]
    past[:] = past[:1] + [each for each in since if each is not past[0]]
    lost = bound - since[0]["bound"]
    if len(since) <= PATIENCE or gained <= 0 or lost <= GIVEN_BACK * gained or loss >= since[0]["loss"]:
        return None
    text = (
        f"Overfitting: the held-out bound was best at step {since[0]['step']:.0f} ({since[0]['bound']:.4g}) and is "
        f"{bound:.4g} now, while the training loss fell from {since[0]['loss']:.4g} to {loss:.4g}. Set "
        "training.early_stop to keep the best weights, make the network smaller, or give it more pictures."
    )
    return Alarm("overfitting", step, text, {"bound": bound, "best": since[0]["bound"], "loss": loss})


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if math.isfinite(value)}
