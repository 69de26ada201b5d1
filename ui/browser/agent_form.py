"""The form for a task: what is to be done, with which tools, within which limits, and one button."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import streamlit as st

from decoder import tiny
from ui.browser import agent_runs, opened
from ui.browser.agent_choice import FORM, open_run
from ui.browser.agent_making import uploads_folder
from ui.browser.agent_spec import APPROVALS, EFFECTS, MODES, AgentSpec
from ui.browser.person import Person
from ui.browser.problems import problems_shown
from ui.browser.safe_text import plain
from ui.browser.strings import say
from ui.cli import wiring
from ui.cli.wiring import DecoderChoice

LONGEST_TASK = 20_000
USUAL = AgentSpec("usual")
SERVE = "hearth serve FOLDER"


@dataclass(frozen=True, slots=True)
class _Limits:
    steps: int
    tokens: int
    minutes: float


@dataclass(frozen=True, slots=True)
class _More:
    instructions: str = ""
    approve: str = USUAL.approve
    mode: str = ""
    base_url: str = ""
    model: str = ""
    embedded: str = ""
    mcp: str = ""


def show_form(who: Person) -> None:
    """The form; a press of its button starts a run and shows it."""
    task = st.text_area(
        say("agents.task"), key="agents-task", placeholder=say("agents.task_example"), max_chars=LONGEST_TASK
    )
    kb = _knowledge_base(who)
    tools = _tools(kb)
    st.caption(say("agents.effects"))
    limits, more = _limits(), _more(who)
    with problems_shown():
        thinks = _with_decoder(more)
        if thinks is None:
            _no_decoder(who)
            return
        if thinks.embedded == tiny.NAME:
            _very_small(who)
        if st.button(say("agents.run"), key="agents-run", type="primary", icon=":material/play_arrow:"):
            _start(_spec(who, task, kb, tools, limits, thinks))


def _spec(who: Person, task: str, kb: str, tools: list[str], limits: _Limits, more: _More) -> AgentSpec:
    """Raises UsageError when there is no task."""
    return AgentSpec(
        task=task.strip(),
        person=who.id,
        tools=tuple(tools),
        kb=kb,
        mcp=(more.mcp,) if more.mcp else (),
        instructions=more.instructions,
        steps=limits.steps,
        tokens=limits.tokens,
        seconds=60.0 * limits.minutes,
        approve=more.approve,
        mode=more.mode,
        base_url=more.base_url,
        model=more.model,
        embedded=more.embedded,
    )


def _start(spec: AgentSpec) -> None:
    job = agent_runs.start(spec)
    st.session_state.pop(FORM, None)
    open_run(job.id)
    st.rerun()


def _knowledge_base(who: Person) -> str:
    """The full name of the one that is chosen; nothing is shown where there is none."""
    names = who.own(wiring.knowledge_bases())
    if not names:
        return ""
    return st.selectbox(
        say("agents.kb"),
        ["", *names],
        format_func=lambda name: plain(who.shown(name)) if name else say("agents.kb_none"),
        key="agents-kb",
    )


def _tools(kb: str) -> list[str]:
    offered = [name for name in EFFECTS if name != "files" or (kb and uploads_folder(kb).is_dir())]
    return st.multiselect(
        say("agents.tools"),
        offered,
        [name for name in USUAL.tools if name in offered],
        format_func=lambda name: f"{say(f'agents.tool_{name}')} · {say(f'agents.effect_{EFFECTS[name]}')}",
        key="agents-tools",
    )


def _limits() -> _Limits:
    with st.expander(say("agents.limits"), icon=":material/timer:"):
        steps = st.number_input(say("agents.steps"), 1, 200, USUAL.steps, key="agents-steps")
        tokens = st.number_input(say("agents.tokens"), 100, 10_000_000, USUAL.tokens, 10_000, key="agents-tokens")
        minutes = st.number_input(
            say("agents.minutes"),
            0.1,
            1440.0,
            USUAL.seconds / 60,
            5.0,
            format="%g",
            key="agents-minutes",
            help=say("agents.minutes_help"),
        )
    return _Limits(int(steps), int(tokens), float(minutes))


def _more(who: Person) -> _More:
    """Instructions and approvals for everybody; which decoder and which programs for admins."""
    with st.expander(say("agents.more"), icon=":material/tune:"):
        instructions = st.text_area(say("agents.instructions"), key="agents-instructions", max_chars=LONGEST_TASK)
        approve = st.selectbox(
            say("agents.approvals"), APPROVALS, format_func=lambda each: say(f"agents.approve_{each}"), key="agents-ask"
        )
        mode = st.selectbox(
            say("agents.mode"), MODES, format_func=lambda each: say(f"agents.mode_{each or 'auto'}"), key="agents-mode"
        )
        model = st.text_input(say("agents.model"), key="agents-model", help=say("agents.model_help"))
        if not who.admin:
            return _More(instructions, approve, mode, model=model.strip())
        base_url = st.text_input(say("agents.base_url"), key="agents-base-url", help=say("agents.base_url_help"))
        embedded = st.text_input(say("agents.embedded"), key="agents-embedded", help=say("agents.embedded_help"))
        mcp = st.text_input(say("agents.mcp"), key="agents-mcp", help=say("agents.mcp_help"))
    return _More(instructions, approve, mode, base_url.strip(), model.strip(), embedded.strip(), mcp.strip())


def _with_decoder(more: _More) -> _More | None:
    """With hearth-tiny where no other is named or runs; None where that cannot run either.

    A model in process is not loaded here: the job does that. Raises UsageError when several servers could be meant.
    """
    if more.embedded:
        return more if Path(tiny.resolve(more.embedded)).is_dir() else None
    if opened.decoder(DecoderChoice(more.base_url, more.model)) is not None:
        return more
    return replace(more, embedded=tiny.NAME) if tiny.is_usable() else None


def _very_small(who: Person) -> None:
    st.caption(say("agents.tiny"))
    _to_health(who)


def _no_decoder(who: Person) -> None:
    st.info(say("agents.no_decoder"), icon=":material/local_fire_department:")
    _to_health(who)
    st.code(SERVE, language=None)


def _to_health(who: Person) -> None:
    if who.admin:
        st.page_link("pages/health.py", label=say("agents.to_health"), icon=":material/monitor_heart:")
