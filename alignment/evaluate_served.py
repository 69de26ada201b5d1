"""The gate on a running vLLM: the candidate and what answers now, both asked there, with the report beside the answers.

promote(artefact.id, server, served_gate(server, suite, GateRules()))
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from alignment.evaluate_rules import GateResult, GateRules

if TYPE_CHECKING:
    from alignment.evaluate import Side, Suite
    from alignment.evaluate_results import OnProgress
    from decoder.base import Decoder
    from decoder.server import RunningServer


def evaluations_folder(candidate: str, baseline: str) -> Path:
    """Where the answers and the report of two served models are kept unless another place is named."""
    from alignment.registry_artefact import models_folder

    return models_folder() / "evaluations" / f"{candidate}-against-{baseline}"


def served_gate(
    server: RunningServer,
    suite: Suite,
    rules: GateRules,
    folder: Path | None = None,
    judge: Callable[[ExitStack], Decoder] | None = None,
    on_progress: OnProgress | None = None,
) -> Callable[[str, str], GateResult]:
    """A gate: a function of two served models' names that measures both and writes the report.

    Args:
        folder: of answers and report; by default the registry's `evaluations/CANDIDATE-against-BASELINE`.
        judge: opens the judge where prompts are compared; the base model by default.

    What it returns raises as `evaluate.evaluate` and `evaluate_report.write_report`.
    """

    def ask(candidate: str, baseline: str) -> GateResult:
        from alignment.evaluate import evaluate
        from alignment.evaluate_report import write_report

        place = folder or evaluations_folder(candidate, baseline)
        with ExitStack() as stack:
            first, second = _side(stack, server, candidate), _side(stack, server, baseline)
            asked = suite
            if suite.asks:
                opened = judge(stack) if judge else served_decoder(stack, server, server.model)
                asked = replace(suite, judge=opened)
            result = evaluate(first, second, asked, rules, place, on_progress)
        write_report(result, place)
        return result

    return ask


def served_decoder(stack: ExitStack, server: RunningServer, name: str) -> Decoder:
    """A model of the server by its name, closed with the stack."""
    from decoder.client import ServedDecoder

    decoder = ServedDecoder(server.base_url, name, preset="vllm", api_key=server.api_key, proxy="")
    return stack.enter_context(closing(decoder))


def _side(stack: ExitStack, server: RunningServer, name: str) -> Side:
    from alignment.evaluate import Side
    from alignment.evaluate_loss import served

    return Side(name, served_decoder(stack, server, name), served(server, name))
