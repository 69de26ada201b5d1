"""What a ladder came to: report.md, report.html and law.json in its folder."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decoder.errors import CheckpointFailed
from decoder.runs.markdown import cell
from decoder.runs.markdown import table as markdown_table
from decoder.runs.page import page, plots, table
from decoder.runs.plots import COLOURS, draw
from decoder.runs.record import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from alignment.scaling_fit import ScalingLaw

MOST_EPOCHS = 4
"""Text that was read more often than this is worth less than new text (Muennighoff et al. 2023)."""
LAW_HEAD = ("constant", "value", "95% interval")
OPTIMUM_HEAD = ("FLOPs", "parameters", "tokens", "loss", "")
RUN_HEAD = ("size", "parameters N", "tokens D", "FLOPs 6ND", "passes over the text", "loss", "law")
NOTE = (
    "N counts all parameters, a tied embedding once; D the tokens that were trained on. Intervals are percentiles of "
    "a bootstrap over runs: they tell how far the constants hang on these runs, not what other text, other "
    "hyperparameters or much larger models would do."
)


def write_scaling_report(folder: Path, name: str, law: ScalingLaw, unique_tokens: int = 0) -> Path:
    """Write the report, and return the path of its page.

    Args:
        unique_tokens: of the training text; 0 when it is not known.

    Raises:
        CheckpointFailed: the disk refuses.
        MissingExtra: matplotlib is not installed.
    """
    parts = {
        "The law": (LAW_HEAD, law_rows(law)),
        "The best size for so much compute": (OPTIMUM_HEAD, optimum_rows(law)),
        "Runs": (RUN_HEAD, run_rows(law, unique_tokens)),
    }
    notes = [said(law), NOTE, *warnings(law, unique_tokens)]
    texts = {
        "report.md": _markdown(name, parts, notes),
        "report.html": _html(name, parts, notes, law),
        "law.json": json.dumps(dataclasses.asdict(law), indent=1) + "\n",
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointFailed("writing the report", str(error), "Free some space") from error
    for file, text in texts.items():
        write_whole(folder / file, text, "writing the report")
    return folder / "report.html"


def said(law: ScalingLaw) -> str:
    """The law in one line."""
    e, a, b, alpha, beta = (f"{law.constants[name].value:.4g}" for name in ("E", "A", "B", "alpha", "beta"))
    return (
        f"L(N, D) = {e} + {a} / N^{alpha} + {b} / D^{beta} nats a token, fitted to {len(law.measured)} runs; it misses "
        f"them by {law.error:.2%} (root mean square). The best size grows as C^{law.share.value:.3f} "
        f"[{law.share.low:.3f}, {law.share.high:.3f}]."
    )


def warnings(law: ScalingLaw, unique_tokens: int) -> list[str]:
    """What should make a reader doubt."""
    found = []
    if unique_tokens and max(one.tokens for one in law.measured) > MOST_EPOCHS * unique_tokens:
        found.append(
            f"Some runs read the text more than {MOST_EPOCHS} times; their tokens are worth less than new ones."
        )
    if any(each.beyond for each in law.optima):
        found.append("Budgets beyond the largest run are extrapolated.")
    for name in ("alpha", "beta"):
        figure = law.constants[name]
        if figure.value < 0.01 or figure.value > 4.9 or figure.high > 4 * max(figure.low, 1e-3):
            found.append(f"{name} is hardly determined by these runs: {figure}.")
    return found


def law_rows(law: ScalingLaw) -> list[tuple[str, ...]]:
    """(constant, value, interval)."""
    names = {**{name: name for name in ("E", "A", "B", "alpha", "beta")}, "share": "beta / (alpha + beta)"}
    return [
        (text, f"{law.constants[name].value:.4g}", f"{law.constants[name].low:.3g} to {law.constants[name].high:.3g}")
        for name, text in names.items()
    ]


def optimum_rows(law: ScalingLaw) -> list[tuple[str, ...]]:
    """(FLOPs, parameters, tokens, loss, remark)."""
    return [
        (f"{o.compute:.3g}", str(o.parameters), str(o.tokens), str(o.loss), "extrapolated" if o.beyond else "")
        for o in law.optima
    ]


def run_rows(law: ScalingLaw, unique_tokens: int) -> list[tuple[str, ...]]:
    """One row a run."""
    rows: list[tuple[str, ...]] = []
    for one in sorted(law.measured, key=lambda m: (m.parameters, m.tokens)):
        flops, law_says = 6.0 * one.parameters * one.tokens, law.loss(one.parameters, one.tokens)
        passes = f"{one.tokens / unique_tokens:.2f}" if unique_tokens else ""
        figures = (f"{one.parameters:,}", f"{one.tokens:,}", f"{flops:.3g}", passes)
        rows.append((one.size, *figures, f"{one.loss:.4f}", f"{law_says:.4f}"))
    return rows


def draw_by_size(law: ScalingLaw) -> str:
    """Loss over parameters, a line a token budget: points as measured, lines as the law has them."""

    def lines(axes: Axes) -> None:
        low, high = min(m.parameters for m in law.measured), max(m.parameters for m in law.measured)
        sizes = _between(low / 1.2, high * 1.2)
        for colour, tokens in _coloured(sorted({m.tokens for m in law.measured})):
            axes.plot(sizes, [law.loss(n, tokens) for n in sizes], color=colour, label=f"{tokens:,} tokens")
            held = [m for m in law.measured if m.tokens == tokens]
            axes.scatter([m.parameters for m in held], [m.loss for m in held], color=colour, s=16)
        axes.set_xscale("log")
        axes.set_xlabel("parameters")
        axes.set_ylabel("evaluation loss, nats a token")
        axes.legend()

    return draw("Loss over size", lines, height=3.4)


def draw_by_compute(law: ScalingLaw) -> str:
    """Loss over size at equal compute, as the law has it, with each curve's lowest point."""

    def lines(axes: Axes) -> None:
        middle = [o.parameters.value for o in law.optima]
        sizes = _between(min(middle) / 8, max(middle) * 8)
        for colour, best in _coloured(law.optima):
            losses = [law.loss(n, best.compute / 6 / n) for n in sizes]
            axes.plot(sizes, losses, color=colour, label=f"{best.compute:.3g} FLOPs")
            axes.errorbar(
                [best.parameters.value],
                [best.loss.value],
                xerr=[
                    [max(0.0, best.parameters.value - best.parameters.low)],
                    [max(0.0, best.parameters.high - best.parameters.value)],
                ],
                color=colour,
                marker="o",
                markersize=4,
                capsize=3,
            )
        axes.set_xscale("log")
        axes.set_ylim(top=1.6 * max(o.loss.value for o in law.optima))
        axes.set_xlabel("parameters")
        axes.set_ylabel("loss by the law, nats a token")
        axes.legend()

    return draw("Loss over size at equal compute", lines, height=3.4)


def _coloured(items: Sequence[Any]) -> list[tuple[str, Any]]:
    return [(COLOURS[i % len(COLOURS)], item) for i, item in enumerate(items)]


def _between(low: float, high: float, count: int = 60) -> list[float]:
    """Values from low to high at equal ratios."""
    return [float(low * (high / low) ** (i / (count - 1))) for i in range(count)]


def _markdown(name: str, parts: dict[str, tuple[Any, Any]], notes: list[str]) -> str:
    blocks = [f"# {cell(name)}", *map(cell, notes)]
    blocks += [f"## {title}\n\n{markdown_table(*rows)}" for title, rows in parts.items() if rows[1]]
    return "\n\n".join(blocks) + "\n"


def _html(name: str, parts: dict[str, tuple[Any, Any]], notes: list[str], law: ScalingLaw) -> str:
    from html import escape

    drawn = [draw_by_size(law), *([draw_by_compute(law)] if law.optima else [])]
    tables = [f"<h2>{title}</h2>\n{table(*rows)}" for title, rows in parts.items() if rows[1]]
    return page(name, [*(f"<p>{escape(text)}</p>" for text in notes), plots(drawn), *tables])
