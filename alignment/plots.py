"""The plots of a run's report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alignment.overoptimisation import WINDOW
from decoder.runs.metric_series import MOST_POINTS, Series
from decoder.runs.plots import COLOURS, INK, draw, plot_series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from alignment.overoptimisation import Point


@dataclass(frozen=True, slots=True)
class Chart:
    """A plot of a report: its title, and the figures that it shows where they were logged."""

    title: str
    names: tuple[str, ...]


CHARTS = (
    Chart("Loss", ("loss", "eval_loss")),
    Chart("Policy loss", ("policy_loss",)),
    Chart("Value loss", ("value_loss",)),
    Chart("Reward", ("reward", "gold_reward", "rewards/gold/mean", "eval_reward")),
    Chart("Rewards of chosen and rejected", ("rewards/chosen", "rewards/rejected", "rewards/margins")),
    Chart("Margin", ("margin", "eval_margin")),
    Chart("Accuracy", ("accuracy", "eval_accuracy", "rewards/accuracies", "eval_rewards/accuracies")),
    Chart("Token accuracy", ("mean_token_accuracy", "eval_mean_token_accuracy")),
    Chart("KL to the reference, nats", ("kl",)),
    Chart("Approximate KL of an update", ("approx_kl",)),
    Chart("KL coefficient", ("kl_coef",)),
    Chart("Entropy, nats", ("entropy", "eval_entropy")),
    Chart("Clip fraction", ("clip_fraction", "clip_ratio/region_mean", "value_clip_fraction")),
    Chart("Explained variance", ("explained_variance",)),
    Chart("Length, tokens", ("response_length", "completions/mean_length", "completions/max_length")),
    Chart("Share that ended", ("eos_share",)),
    Chart("Share cut off", ("completions/clipped_ratio",)),
    Chart("Learning rate", ("learning_rate",)),
    Chart("Gradient norm", ("grad_norm",)),
)


def draw_charts(series: Mapping[str, Series]) -> list[tuple[str, str]]:
    """(title, SVG) of each chart of which at least one figure was logged."""
    drawn = []
    for chart in CHARTS:
        shown = {name: series[name] for name in chart.names if name in series}
        if shown:
            drawn.append((chart.title, _draw(chart.title, shown, series)))
    return drawn


def _draw(title: str, shown: Mapping[str, Series], series: Mapping[str, Series]) -> str:
    def lines(axes: Axes) -> None:
        plot_series(axes, shown)
        if spread := _spread(shown, series):
            axes.fill_between(*spread, color=COLOURS[0], alpha=0.15, linewidth=0)

    return draw(title, lines)


def _spread(shown: Mapping[str, Series], series: Mapping[str, Series]) -> tuple[Any, Any, Any] | None:
    """One standard deviation about the mean reward, where both have the same steps."""
    mean, deviation = shown.get("reward"), series.get("reward_std")
    if mean is None or deviation is None or mean.steps != deviation.steps:
        return None
    low = [m - s for m, s in zip(mean.means, deviation.means, strict=True)]
    high = [m + s for m, s in zip(mean.means, deviation.means, strict=True)]
    return mean.steps, low, high


def draw_overoptimisation(points: Sequence[Point]) -> str:
    """Proxy and gold reward over the square root of the KL (Gao et al. 2022, figure 1): batches, and running means."""
    shown = points[:: 1 + len(points) // MOST_POINTS]
    distance = [point.distance for point in shown]

    def lines(axes: Axes) -> None:
        for colour, label, values in (
            (COLOURS[0], "proxy: trained on", [point.proxy for point in shown]),
            (COLOURS[1], "gold: watched", [point.gold for point in shown]),
        ):
            axes.scatter(distance, values, color=colour, s=7, alpha=0.4, linewidths=0)
            axes.plot(_running(distance), _running(values), color=colour, label=label)
        axes.legend()
        axes.set_xlabel("square root of the KL to the reference")

    return draw("Proxy and gold reward", lines)


def _running(values: Sequence[float]) -> list[float]:
    """Means over the last WINDOW values, from the first whole window on."""
    width = min(WINDOW, len(values))
    return [sum(values[i - width : i]) / width for i in range(width, len(values) + 1)]


def draw_reliability(confidence: Sequence[float], accuracy: Sequence[float], counts: Sequence[int]) -> str:
    """How often the preferred answer scored higher, over the probability that the model gave it, by bins."""

    def lines(axes: Axes) -> None:
        low = min([0.5, *confidence])
        axes.plot([low, 1], [low, 1], color=INK, alpha=0.4, linestyle=":", label="as sure as right")
        axes.plot(confidence, accuracy, color=COLOURS[0], marker="o", markersize=3, label="measured")
        for x, y, count in zip(confidence, accuracy, counts, strict=True):
            axes.annotate(str(count), (x, y), textcoords="offset points", xytext=(4, -9), fontsize=7)
        axes.legend(loc="upper left")
        axes.set_xlabel("confidence")
        axes.set_ylabel("accuracy")

    return draw("Reliability", lines)
