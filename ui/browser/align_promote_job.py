"""The job "promote": an adapter held against what answers now on a running server, and put in its place if it passes.

spec: {"artefact": id, "server": name, "switch": bool, "force": bool, "held_out": source, "prompts": source,
"min_win_rate": …, "min_questions": …, "tolerance": {…}, "limit": …, "max_tokens": …}. A refusal is a result, not a
failure: what answered goes on answering.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alignment.evaluate import Suite
    from alignment.evaluate_rules import GateResult, GateRules
    from decoder.server import RunningServer
    from prompts.results import EvalProgress
    from ui.browser.job_process import Running

STEP = "promoting"


def run(spec: Mapping[str, Any], job: Running) -> Mapping[str, Any]:
    """Do what was asked. Returns what answers now, and what the gate measured. Raises as `registry_serving.promote`."""
    from alignment.errors import GateRefused
    from alignment.registry_serving import promote
    from decoder.server import attach

    artefact, server = str(spec["artefact"]), attach(str(spec.get("server") or ""))
    seen: dict[str, Any] = {}
    if not spec.get("switch", True):
        gate = gate_of(spec, server, job, seen)
        return _measured(artefact, server, gate, seen)
    force = bool(spec.get("force"))
    try:
        found = promote(artefact, server, None if force else gate_of(spec, server, job, seen), force)
    except GateRefused as refusal:
        if "gate" not in seen:
            raise
        return {"promoted": False, "refused": refusal.cause, "base": server.model, **seen}
    return {"promoted": True, "base": found.base, "model": found.model, "before": found.before, **seen}


def gate_of(
    spec: Mapping[str, Any], server: RunningServer, job: Running, seen: dict[str, Any]
) -> Callable[[str, str], GateResult]:
    """The gate that the spec describes; what it said is left in `seen`. Raises UsageError where it measures nothing."""
    from alignment.evaluate_served import evaluations_folder, served_gate

    suite, rules = suite_of(spec), rules_of(spec)
    told = progress_of(job)

    def ask(candidate: str, baseline: str) -> GateResult:
        result = served_gate(server, suite, rules, on_progress=told)(candidate, baseline)
        seen.update(gate=result.plain(), report=str(evaluations_folder(candidate, baseline)))
        return result

    return ask


def suite_of(spec: Mapping[str, Any]) -> Suite:
    """What is measured: held-out loss and compared answers as far as they were asked for, and refusals always."""
    from alignment.evaluate import GREEDY, Suite
    from alignment.evaluate_refusals import read_requests
    from alignment.held_out import asked_prompts, held_out_texts
    from alignment.registry import show
    from decoder.errors import UsageError

    held_out, prompts = str(spec.get("held_out") or ""), str(spec.get("prompts") or "")
    if not held_out and not prompts:
        raise UsageError(STEP, "there is nothing to measure the model on", "Choose held-out rows, or prompts")
    limit = int(spec.get("limit") or 0)
    requests = read_requests()
    if limit:
        kinds = ([each for each in requests if each.harmful is harmful][:limit] for harmful in (True, False))
        requests = tuple(each for kind in kinds for each in kind)
    return Suite(
        asks=asked_prompts(prompts, limit) if prompts else (),
        texts=held_out_texts(held_out, show(str(spec["artefact"])).model, limit) if held_out else (),
        requests=requests,
        sampling=replace(GREEDY, max_tokens=int(spec.get("max_tokens") or 256)),
    )


def rules_of(spec: Mapping[str, Any]) -> GateRules:
    """The rules that the spec describes; what it leaves out is as the gate has it."""
    from alignment.evaluate_rules import TOLERANCES, GateRules

    given = {name: float(value) for name, value in dict(spec.get("tolerance") or {}).items() if name in TOLERANCES}
    return GateRules(
        min_win_rate=float(spec.get("min_win_rate", 0.5)),
        tolerance=dict(TOLERANCES) | given,
        min_questions=int(spec.get("min_questions") or 10),
    )


def progress_of(job: Running) -> Callable[[EvalProgress], None]:
    """Tells the page how many questions are done."""

    def tell(progress: EvalProgress) -> None:
        job.tell(done=progress.done, total=progress.total)

    return tell


def _measured(
    artefact: str, server: RunningServer, gate: Callable[[str, str], GateResult], seen: dict[str, Any]
) -> dict[str, Any]:
    """Measured alone: nobody is switched."""
    from alignment.registry_serving import load
    from decoder import alias
    from decoder.errors import UsageError

    load(artefact, server)
    other = alias.resolve(server.model)
    if other == artefact:
        raise UsageError(STEP, f"{artefact} is what answers now", "Choose another, or roll back first")
    if other != server.model:
        load(other, server)
    gate(artefact, other)
    return {"promoted": None, "base": server.model, **seen}
