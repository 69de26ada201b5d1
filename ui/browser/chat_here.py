"""The conversation that a page shows, and what its buttons do: changes to it, questions put to it.

Which one it is stands in the page's address, so that a reload and a bookmark find it, and in the session, so that
other pages can be looked at meanwhile. Before the first question there is a draft.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from decoder.errors import HearthError, UsageError
from ui.browser import chat_answering, chat_tree, knowledge_names
from ui.browser.chat_settings import ChatSettings
from ui.browser.chat_store import Store, store
from ui.browser.chat_types import Conversation, Turn
from ui.browser.person import person
from ui.browser.problems import problems_shown, show_problem
from ui.cli import wiring

PARAMETER, SESSION, DRAFT, PROBLEM = "chat", "chat-id", "chat-draft", "chat-problem"
EDITING, COMPARING, EARLIER = "chat-editing", "chat-comparing", "chat-earlier"
LIVE, DRAWN = "chat-live", "chat-drawn"
"""The part of the page that a question runs anew, by its key: `chat_live`. It can be run alone once all was drawn."""


@dataclass(frozen=True, slots=True)
class Here:
    """What the page shows.

    Attributes:
        conversation: None before the first question.
        turns: of all branches.
        path: the shown branch.
        kb, settings: how the next question is answered.
        names: this person's knowledge bases, by full name.
    """

    store: Store
    conversation: Conversation | None
    turns: Sequence[Turn]
    path: Sequence[Turn]
    kb: str
    settings: ChatSettings
    names: Sequence[str]

    @property
    def id(self) -> str:
        """Of the conversation; "new" for a draft."""
        return self.conversation.id if self.conversation else "new"

    @property
    def running(self) -> Turn | None:
        """The turn that is being answered, if it is on the shown branch or beside it."""
        return next((turn for turn in self.turns if turn.state == "running"), None)


def here() -> Here:
    """The conversation of the page's address or of the session. Raises what `store` raises."""
    st.session_state.pop(DRAWN, None)
    kept, conversation = store(), None
    wanted = st.query_params.get(PARAMETER) or st.session_state.get(SESSION)
    if wanted:
        try:
            conversation = kept.conversation(wanted, person().id)
        except UsageError as error:
            leave()
            show_problem(error)
    listed = _own_names()
    names = listed or []
    if conversation is None:
        kb, settings = st.session_state.get(DRAFT) or (_first_kb(names), ChatSettings())
        if listed is not None and kb not in ("", *names) and kb not in knowledge_names.known_names():
            kb = _first_kb(names)
        return Here(kept, None, (), (), kb, settings, names)
    _enter(conversation.id)
    return _within(kept, conversation, names)


def anew(page: Here) -> Here:
    """The page as it is after a question was put. Raises UsageError when its conversation is gone."""
    wanted = st.session_state.get(SESSION)
    return _within(page.store, page.store.conversation(wanted, person().id), page.names) if wanted else page


def _within(kept: Store, conversation: Conversation, names: Sequence[str]) -> Here:
    turns = [_settled(kept, turn) for turn in kept.turns(conversation.id, person().id)]
    path = chat_tree.branch(turns, conversation.leaf)
    return Here(kept, conversation, turns, path, conversation.kb, conversation.settings, names)


def safely(change: Callable[..., Any], *args: Any) -> None:
    """Call what a button does; an error of the house is shown by the run that follows."""
    try:
        change(*args)
    except HearthError as error:
        st.session_state[PROBLEM] = error


def put(question: Callable[..., Any], *args: Any) -> None:
    """Call what puts a question after the last turn; then the end of the page alone is run, where that is enough."""
    safely(question, *args)
    if DRAWN in st.session_state and not any(key in st.session_state for key in (PROBLEM, EDITING, COMPARING)):
        st.rerun(LIVE)


def show_problem_of_before() -> None:
    """What went wrong with the last button."""
    if (error := st.session_state.pop(PROBLEM, None)) is not None:
        show_problem(error)


def enter(conversation: str) -> None:
    """Show this conversation."""
    leave()
    _enter(conversation)


def begin_new(page: Here) -> None:
    """Show an empty page for a new one, which begins with the settings of this."""
    if page.conversation is not None:
        st.session_state[DRAFT] = (page.kb, page.settings)
    leave()


def leave() -> None:
    """Show an empty page."""
    st.query_params.pop(PARAMETER, None)
    for key in (SESSION, EDITING, COMPARING, EARLIER):
        st.session_state.pop(key, None)


def configure(page: Here, kb: str, settings: ChatSettings) -> None:
    """How the next questions are answered. Raises UsageError for a knowledge base that is not this person's."""
    if kb and kb not in person().own([kb]):
        raise UsageError("choosing a knowledge base", "there is none of this name", "Choose another")
    if page.conversation is not None:
        page.store.configure(page.conversation.id, person().id, kb, settings)
    st.session_state[DRAFT] = (kb, settings)


def ask(page: Here, question: str, kb: str = "", job: str = "") -> None:
    """Put a question after the last turn. Raises UsageError."""
    parent = page.path[-1].id if page.path else ""
    _begin(page, question, parent, page.path, kb or page.kb, page.settings, job)


def ask_again(page: Here, turn: Turn, question: str = "", settings: ChatSettings | None = None) -> Turn:
    """Put a turn's question, or another in its place, again: a version of that turn. Raises UsageError."""
    before = chat_tree.branch(page.turns, turn.parent) if turn.parent else []
    st.session_state.pop(EDITING, None)
    return _begin(page, question or turn.question, turn.parent, before, page.kb, settings or page.settings)


def stop(turn: Turn) -> None:
    """End an answer that this process writes, and wait a moment for it to have ended."""
    answering = chat_answering.running(turn.id)
    if answering is not None:
        answering.stop()
        answering.wait(2.0)


def show_version(page: Here, turn: Turn) -> None:
    """Let the shown branch go through this turn."""
    leaf = chat_tree.end_of(page.turns, turn.id)
    page.store.show(turn.conversation, person().id, leaf)


def _begin(
    page: Here, question: str, parent: str, before: Sequence[Turn], kb: str, settings: ChatSettings, job: str = ""
) -> Turn:
    who, conversation = person().id, page.conversation
    settings.sampling()  # for UsageError, before anything is kept
    if conversation is None:
        conversation = page.store.create(who, kb, settings, question)
    elif kb != conversation.kb:
        page.store.configure(conversation.id, who, kb, settings)
    history = chat_tree.heard(before, kb)
    answering = chat_answering.ask(page.store, who, conversation.id, question, parent, kb, settings, history, job)
    _enter(conversation.id)
    return answering.turn


def _enter(conversation: str) -> None:
    st.session_state[SESSION] = conversation
    if st.query_params.get(PARAMETER) != conversation:
        st.query_params[PARAMETER] = conversation


def _first_kb(names: Sequence[str]) -> str:
    default = f"{person().prefix}{wiring.DEFAULT}"
    return default if default in names else next(iter(names), "")


def _own_names() -> list[str] | None:
    """This person's knowledge bases. None where they cannot be listed, which is shown: one can still talk and read."""
    found: list[str] | None = None
    with problems_shown():
        found = knowledge_names.own_names()
    return found  # noqa: RET504  # a problem that is shown leaves it empty


def _settled(kept: Store, turn: Turn) -> Turn:
    """A turn of this process that nobody writes any more, as after a full disk, was interrupted."""
    return turn if turn.state != "running" else chat_answering.settled(kept, turn)
