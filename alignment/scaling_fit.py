"""L(N, D) = E + A / N^alpha + B / D^beta, fitted to measured losses: Hoffmann et al. 2022, section 3.3 ("approach 3").

In logarithms the law is a log-sum-exp, whose distance to log L is taken by Huber's loss (delta 1e-3) and minimised by
L-BFGS from many starts. Besiroglu et al. 2024 ("Chinchilla scaling: a replication attempt") found what went wrong
there: a loss that was averaged, not summed, made the optimiser stop early, and the intervals were far too narrow. So
the loss is summed, its gradient is exact, the tolerance is tight, and the intervals come from a bootstrap over runs.

N counts all parameters, those of the embedding too, as Hoffmann et al. do: a tied one is counted once, and does its
work in the output. Kaplan et al. 2020 left embeddings out, which at small sizes gives another law (Pearce and Song
2024, "Reconciling Kaplan and Chinchilla scaling laws").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alignment.errors import DataError
from decoder.errors import MissingExtra

if TYPE_CHECKING:
    import numpy as np

STEP = "fitting the scaling law"
DELTA = 1e-3
CONSTANTS = ("E", "A", "B", "alpha", "beta")
FEWEST = 8
"""Points for five constants; with fewer the bootstrap hardly ever draws enough that differ."""
STARTS, RESTARTS = 16, 2


@dataclass(frozen=True, slots=True)
class Measured:
    """One trained model: parameters, tokens that it was trained on, evaluation loss in nats a token."""

    size: str
    parameters: int
    tokens: int
    loss: float


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with the bounds of its 95% interval (percentiles of the bootstrap)."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low:.3g}, {self.high:.3g}]"


@dataclass(frozen=True, slots=True)
class Optimum:
    """The best model for `compute` FLOPs, by C = 6 N D."""

    compute: float
    parameters: Figure
    tokens: Figure
    loss: Figure
    beyond: bool
    """More compute than any run had: the law is drawn out beyond what was measured."""


@dataclass(frozen=True, slots=True)
class ScalingLaw:
    """The fitted law.

    Attributes:
        constants: E, A, B, alpha, beta.
        error: root mean square of log predicted - log measured.
        resamples: that the intervals stand on.
    """

    constants: dict[str, Figure]
    measured: tuple[Measured, ...]
    optima: tuple[Optimum, ...]
    error: float
    resamples: int

    def loss(self, parameters: float, tokens: float) -> float:
        """What the law predicts, nats a token."""
        e, a, b, alpha, beta = (self.constants[name].value for name in CONSTANTS)
        return float(e + a / parameters**alpha + b / tokens**beta)

    @property
    def share(self) -> Figure:
        """The exponent of compute in the best size, beta / (alpha + beta); Hoffmann et al. find 0.46 to 0.50."""
        return self.constants["share"]

    def __str__(self) -> str:
        e, a, b, alpha, beta = (str(self.constants[name]) for name in CONSTANTS)
        return f"L = {e} + {a} / N^{alpha} + {b} / D^{beta}; error {self.error:.2%}"


def fit_law(
    measured: Sequence[Measured], compute: Sequence[float] = (), resamples: int = 200, seed: int = 0
) -> ScalingLaw:
    """Fit the law, with intervals, and the best models for budgets of `compute` FLOPs.

    Raises:
        DataError: fewer than eight points, fewer than three sizes or budgets, or losses that are no law's.
        MissingExtra: scipy is not installed.
    """
    check_points(measured)
    try:
        import numpy as np
        import scipy.optimize  # type: ignore[import-untyped]  # noqa: F401
    except ImportError as error:
        raise MissingExtra(STEP, "scipy", "align") from error
    logs = _logs(measured)
    best = _minimise(logs, _starts(logs, STARTS))
    fits = np.array([best, *_resampled(measured, best, resamples, seed)])
    most = max(6.0 * one.parameters * one.tokens for one in measured)
    return ScalingLaw(
        _constants(fits),
        tuple(measured),
        tuple(_optimum(fits, each, each > most) for each in compute),
        float(np.sqrt(np.mean(_residuals(best, logs) ** 2))),
        len(fits) - 1,
    )


def check_points(measured: Sequence[Measured]) -> None:
    """Refuse points that five constants cannot be told from. Raises DataError."""
    if len(measured) < FEWEST:
        cause = f"there are {len(measured)} runs, and the law has five constants"
        raise DataError(STEP, cause, f"Give at least {FEWEST}")
    for name, values in (("sizes", {m.parameters for m in measured}), ("token budgets", {m.tokens for m in measured})):
        if len(values) < 3:
            remedy = "Give at least three, some factors apart"
            raise DataError(STEP, f"the runs have only {len(values)} different {name}", remedy)
    for index, one in enumerate(measured):
        if not (one.parameters > 0 and one.tokens > 0 and one.loss > 0 and math.isfinite(one.loss)):
            error = DataError(STEP, f"run {index} ({one}) has no positive finite figures", "Leave it out")
            error.row = index
            raise error
    losses = [one.loss for one in measured]
    if max(losses) - min(losses) < 1e-9 * max(losses):
        raise DataError(STEP, "all runs have the same loss", "Train smaller models, or on fewer tokens, as well")


def _logs(measured: Sequence[Measured]) -> np.ndarray[Any, Any]:
    """log N, log D and log L as rows."""
    import numpy as np

    logs: np.ndarray[Any, Any] = np.log(np.array([(m.parameters, m.tokens, m.loss) for m in measured], dtype=float)).T
    return logs


def _terms(theta: Any, logs: Any) -> Any:
    """log of A / N^alpha, B / D^beta and E, (..., 3, points); theta (..., 5) holds log A, log B, log E, alpha, beta."""
    import numpy as np

    a, b, e, alpha, beta = (theta[..., i, None] for i in range(5))
    return np.stack([a - alpha * logs[0], b - beta * logs[1], e + 0 * logs[0]], axis=-2)


def _residuals(theta: Any, logs: Any) -> Any:
    import numpy as np

    return np.logaddexp.reduce(_terms(theta, logs), axis=-2) - logs[2]


def _huber(residuals: Any) -> Any:
    import numpy as np

    size = np.abs(residuals)
    return np.where(size <= DELTA, size**2 / 2, DELTA * (size - DELTA / 2)).sum(-1)


def _objective(theta: Any, logs: Any) -> tuple[float, Any]:
    """Hoffmann et al.'s equation 3, and its gradient, both in units of delta squared to suit the tolerances."""
    import numpy as np

    terms, residuals = _terms(theta, logs), _residuals(theta, logs)
    shares = np.exp(terms - logs[2] - residuals)  # of each term in the predicted loss
    slope = np.clip(residuals, -DELTA, DELTA)
    by_a, by_b, by_e = shares @ slope
    gradient = np.array([by_a, by_b, by_e, -(shares[0] * logs[0]) @ slope, -(shares[1] * logs[1]) @ slope])
    return float(_huber(residuals)) / DELTA**2, gradient / DELTA**2


def _starts(logs: Any, count: int) -> Any:
    """The most promising of a grid like Hoffmann et al.'s, in constants that are comparable at the data's middle.

    For each exponent and each share of the loss that a term may have there, log A and log B follow.
    """
    import numpy as np

    n, d, loss = logs.mean(axis=1)
    exponents, parts = (0.1, 0.3, 0.5, 1.0), (0.05, 0.2, 0.4, 0.6)
    grid = [
        (np.log(x) + loss + alpha * n, np.log(y) + loss + beta * d, np.log(1 - x - y) + loss, alpha, beta)
        for alpha in exponents
        for beta in exponents
        for x in parts
        for y in parts
        if x + y < 1
    ]
    thetas = np.array(grid)
    return thetas[np.argsort(_huber(_residuals(thetas, logs)), kind="stable")[:count]]


def _minimise(logs: Any, starts: Any) -> Any:
    """The best of L-BFGS from each start. Exponents stay positive: a law whose loss rises with size is none."""
    import numpy as np
    from scipy.optimize import minimize

    bounds = [(-50, 200), (-50, 200), (-20, logs[2].min()), (1e-3, 5), (1e-3, 5)]
    low, high = np.array(bounds).T
    options = {"maxiter": 2000, "maxfun": 10_000, "ftol": 1e-13, "gtol": 1e-9, "maxcor": 20}
    found = [
        minimize(_objective, np.clip(x, low, high), (logs,), "L-BFGS-B", True, bounds=bounds, options=options)
        for x in starts
    ]
    return min(found, key=lambda each: each.fun).x


def _resampled(measured: Sequence[Measured], best: Any, resamples: int, seed: int) -> list[Any]:
    """Fits to runs drawn with replacement; draws with too few sizes or budgets are drawn again."""
    import numpy as np

    draw = np.random.default_rng(seed)
    fits: list[Any] = []
    for _ in range(20 * resamples):
        if len(fits) == resamples:
            break
        chosen = [measured[i] for i in draw.integers(len(measured), size=len(measured))]
        if len({(m.parameters, m.tokens) for m in chosen}) < 6 or not _varied(chosen):
            continue
        logs = _logs(chosen)
        fits.append(_minimise(logs, np.vstack([best, _starts(logs, RESTARTS)])))
    return fits


def _varied(chosen: Sequence[Measured]) -> bool:
    return min(len({m.parameters for m in chosen}), len({m.tokens for m in chosen})) >= 3


def _constants(fits: Any) -> dict[str, Figure]:
    import numpy as np

    a, b, e, alpha, beta = fits.T
    values = (np.exp(e), np.exp(a), np.exp(b), alpha, beta, beta / (alpha + beta))
    return {name: _figure(each) for name, each in zip((*CONSTANTS, "share"), values, strict=True)}


def _optimum(fits: Any, compute: float, beyond: bool) -> Optimum:
    """Hoffmann et al.'s equation 4: N = G (C/6)^(beta/(alpha+beta)), D = C / 6N, G^(alpha+beta) = alpha A / beta B."""
    import numpy as np

    a, b, e, alpha, beta = fits.T
    log_n = (np.log(alpha) + a - np.log(beta) - b + beta * math.log(compute / 6)) / (alpha + beta)
    log_d = math.log(compute / 6) - log_n
    loss = np.exp(e) + np.exp(a - alpha * log_n) + np.exp(b - beta * log_d)
    return Optimum(compute, _figure(np.exp(log_n)), _figure(np.exp(log_d)), _figure(loss), beyond)


def _figure(values: Any) -> Figure:
    """The fit's own value, which comes first, and percentiles of the resamples'."""
    import numpy as np

    rest = values[1:] if len(values) > 1 else values
    low, high = np.percentile(rest, (2.5, 97.5))
    return Figure(float(values[0]), float(low), float(high))
