"""Models that can be taught here: served, registered, or left by a run; and the control to choose one."""

from __future__ import annotations

import re
from pathlib import Path

import streamlit as st

from alignment.registry import list_artefacts
from decoder.runs.record import read_object
from decoder.settings import home
from ui.browser import align_runs
from ui.browser.strings import say

HUB = re.compile(r"[\w.-]+(/[\w.-]+)?")


def choices() -> dict[str, str]:
    """What a recipe may call its model, with how to name it; the one that is served comes first."""
    found = {model: say("alignment.model_served", name=name) for name, model in served().items()}
    for artefact in reversed(list_artefacts()):
        if artefact.kind == "model":
            found.setdefault(artefact.id, say("alignment.model_registered", name=artefact.id))
    for run in align_runs.every():
        if run.state == "finished" and run.noted.get("kind") == "model" and run.folder.model.is_dir():
            found.setdefault(str(run.folder.model), say("alignment.model_of_run", name=run.name))
    return found


def served() -> dict[str, str]:
    """The folder or hub name behind each server that was started here, by the server's name."""
    files = sorted((home() / "servers").glob("*.json"))
    entries = {file.stem: read_object(file) for file in files}
    return {
        name: str(entry["model"])
        for name, entry in entries.items()
        if entry.get("model") and entry.get("phase") in ("healthy", "restarting", "starting")
    }


def model_choice(label: str, key: str, also: str = "", empty: str = "") -> str:
    """The control: a model from the list, or any other folder or hub name that is typed.

    Args:
        also: one that a recipe names.
        empty: what to call no model, where that is possible.
    """
    names = choices()
    options = list(names)
    for extra in (also, st.session_state.get(key) or ""):
        if extra and extra not in options:
            options.append(extra)
    if empty:
        options.append("")
    return str(
        st.selectbox(
            label,
            options,
            key=key,
            format_func=lambda name: names.get(name) or name or empty,
            accept_new_options=True,
            placeholder=say("alignment.model_placeholder"),
            help=say("alignment.model_help"),
        )
        or ""
    )


def usable(model: str) -> bool:
    """Whether a recipe's model may be there: a folder, a registered one, or a name as the hub has them."""
    return Path(model).expanduser().is_dir() or model in choices() or bool(HUB.fullmatch(model))
