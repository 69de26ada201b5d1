"""From the registry into the running vLLM and back: load, promote, roll back, without a restart or a failed request.

An adapter is served under its id and from a folder named by its content, so no cache of an older one answers for it.
Promotion loads it beside the one that answers, tries it, asks the gate, and then replaces one small file that every
decoder looks at (`decoder/alias.py`). Until that moment nothing has changed for anyone, and after it the one before
stays loaded: a rollback replaces the file again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from alignment.errors import GateRefused, RegistryError, WrongBase
from alignment.evaluate_rules import GateResult
from alignment.models import weights_hash
from alignment.registry import show, verify
from alignment.registry_artefact import Artefact
from alignment.registry_history import record
from alignment.registry_lock import SWITCHING, locked
from decoder import alias, server_state
from decoder.adapters import remembered
from decoder.errors import HearthError, ServerFailed
from decoder.server_http import model_names
from decoder.types import Sampling

if TYPE_CHECKING:
    from decoder.server import RunningServer

LOADING, UNLOADING = "loading the artefact", "unloading"
PROMOTING, BACK = "promoting", "rolling back"
Gate: TypeAlias = Callable[[str, str], GateResult]
"""Holds a served candidate, by name, against what answers now, by name."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """A switch that was made.

    Attributes:
        base: the base model's name at the server.
        model: what answers now; the base's own name when nothing is promoted.
        before: what answered until now, likewise.
        gate: what the gate said; None when it was not asked.
        changed: False when there was nothing to do.
    """

    base: str
    model: str
    before: str
    gate: GateResult | None = None
    changed: bool = True


def load(given: str, server: RunningServer) -> Artefact:
    """Have a running server serve an adapter under its id; one that it serves already stays as it is.

    Raises:
        RegistryError: there is no such artefact, it is no adapter, or its files were changed.
        WrongBase: it belongs to another base model than the server's.
        AdapterFailed, ConnectFailed: the server refused it, or does not answer.
    """
    artefact = verify(given)
    if artefact.kind != "adapter":
        remedy = f"Serve whole weights by themselves: hearth serve {artefact.model}" if artefact.kind == "model" else ""
        raise RegistryError(LOADING, f"{given} is a {artefact.kind}, not an adapter", remedy)
    check_served_base(artefact, server.name)
    if given not in _served(server) or given not in remembered(server.name):
        if given in _served(server):
            server.unload_adapter(given)  # loaded by hand, from who knows where
        server.load_adapter(given, artefact.model)
        record("load", id=given, server=server.name)
    return artefact


def unload(given: str, server: RunningServer) -> None:
    """Have the server forget an adapter.

    Raises:
        RegistryError: it answers for the base model, or is what a rollback goes back to.
        UnknownModel, AdapterFailed, ConnectFailed: the server has none of this name, or did not do so.
    """
    with locked(SWITCHING, UNLOADING):
        target = alias.targets().get(server.model)
        if target is not None and given in (target.model, target.before):
            state = "promoted" if given == target.model else "what a rollback goes back to"
            raise RegistryError(UNLOADING, f"{given} is {state} on {server.model}", "Promote another, or roll back")
        server.unload_adapter(given)
    record("unload", id=given, server=server.name)


def promote(given: str, server: RunningServer, gate: Gate | None = None, force: bool = False) -> Promotion:
    """Let an adapter answer in its base model's place, if the gate lets it.

    Args:
        gate: asked with the candidate loaded and everybody else still on the old one.
        force: do without a gate; the history says so.

    Raises:
        GateRefused: the gate did, or there is none and `force` is false. What answered goes on answering.
        RegistryError, WrongBase: see `load`; or while the gate was at work another was promoted, or this one removed.
        DecoderError: the server refused the adapter, or the adapter does not answer.
    """
    if gate is None and not force:
        raise GateRefused(PROMOTING, "no gate was given", "Say what to measure it on, or force it")
    before, known = alias.resolve(server.model), given in _served(server)
    artefact = load(given, server)
    if before == given:
        return Promotion(server.model, given, given, changed=False)
    try:
        _try(given, server)
        result = None if force or gate is None else _asked(gate, artefact, before)
    except BaseException:  # a gate takes minutes, and whoever waits may press Ctrl-C
        if not known:
            with contextlib.suppress(HearthError):  # the first error is the one to tell
                unload(given, server)
        raise
    with locked(SWITCHING, PROMOTING):
        now = alias.resolve(server.model)
        if now != before:
            cause = f"{now} was promoted while {given} was held against {before}"
            raise RegistryError(PROMOTING, cause, "Promote it again, against that one")
        show(given)  # somebody may have removed or unloaded it while the gate was at work
        if given not in _served(server):
            load(given, server)
        alias.switch(server.model, given, "" if before == server.model else before)
        facts = {"forced": force, "gate": result.plain() if result else None}
        record("promote", id=given, base=server.model, before=before, **facts)
    return Promotion(server.model, given, before, result)


def rollback(server: RunningServer, to_base: bool = False) -> Promotion:
    """Take the last promotion back: what answered before it answers again. Doing so again changes nothing more.

    Args:
        to_base: go back to the base model itself, whatever was promoted before.

    Raises:
        RegistryError: what answered before is no longer in the registry and no longer served.
        DecoderError: the server does not answer, or lost it and refuses to load it again.
    """
    with locked(SWITCHING, BACK):
        target = alias.targets().get(server.model) or alias.Target("")
        now, back = target.model or server.model, "" if to_base else target.before
        if back is None or back == target.model:
            return Promotion(server.model, now, now, changed=False)
        if back and back not in _served(server):
            load(back, server)
        alias.switch(server.model, back, None)
        record("rollback", base=server.model, id=back or server.model, before=now)
    return Promotion(server.model, back or server.model, now)


def check_served_base(artefact: Artefact, server: str) -> None:
    """Refuse an adapter of another base model than the one served. Raises WrongBase.

    Folders are compared by their weights; hub names, and folders that are gone, by name.
    """
    state = server_state.read(server)
    served = state.model if state is not None else ""
    folder = Path(served).expanduser()
    if served and folder.is_dir() and artefact.base_sha256:
        fits = weights_hash(folder) == artefact.base_sha256
    else:
        fits = bool(served) and served == artefact.base
    if not fits:
        cause = f"{artefact.id} is an adapter of {artefact.base or 'an unknown model'}, and {server} serves {served}"
        raise WrongBase(LOADING, cause, "Serve the adapter's own base model, or train one for this")


def _served(server: RunningServer) -> list[str]:
    return model_names(server.base_url, api_key=server.api_key)


def _try(given: str, server: RunningServer) -> None:
    """One short answer of the adapter's own. Raises DecoderError."""
    from decoder.client import ServedDecoder

    with ServedDecoder(server.base_url, given, preset="vllm", api_key=server.api_key, proxy="") as decoder:
        found = decoder.complete("Hello.", sampling=Sampling(temperature=0.0, max_tokens=1))
    if found.model != given:
        raise ServerFailed(PROMOTING, f"{given} was asked, and {found.model} answered", "See the server's log")


def _asked(gate: Gate, artefact: Artefact, before: str) -> GateResult:
    result = gate(artefact.id, before)
    if not result.passed:
        record("refuse", id=artefact.id, before=before, gate=result.plain())
        reasons = "; ".join(result.reasons)
        raise GateRefused(PROMOTING, f"{artefact.id} did not pass: {reasons}", "See the report, or use --force")
    return result
