"""What people said of answers, and the way from there to a data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import streamlit as st

from ui.browser import align_datasets
from ui.browser.align_steps import go
from ui.browser.person import person
from ui.browser.problems import problems_shown
from ui.browser.safe_text import plain
from ui.browser.strings import say
from ui.cli.feedback_text import row

if TYPE_CHECKING:
    from alignment.feedback_events import Where

KINDS = ("vote", "edit", "ranking", "comment")
FORMATS = ("sft", "dpo", "kto", "ranking")
LISTED, MOST_HEIGHT = 200, 260
MADE = "align_made"


def show() -> None:
    """Counts, filters, the list, and the form that makes rows of it."""
    from alignment.feedback import Feedback

    stats = Feedback().stats()
    if not stats["events"]:
        st.info(say("alignment.no_feedback"), icon=":material/thumbs_up_down:")
        st.page_link("pages/chat.py", label=say("alignment.to_chat"), icon=":material/chat:")
        if st.button(say("alignment.to_data"), key="align_to_data", icon=":material/dataset:"):
            go("data")
        return
    _counts(stats)
    where = _filters(stats)
    _list(where)
    _make(where)


def _counts(stats: dict[str, Any]) -> None:
    for column, kind in zip(st.columns(len(KINDS)), KINDS, strict=True):
        column.metric(say(f"alignment.kind_{kind}"), stats["kinds"].get(kind, 0))
    models = [
        say("alignment.by_model", model=plain(model or say("alignment.unnamed")), count=count)
        for model, count in stats["models"].items()
    ]
    st.caption(" · ".join(models))


def _filters(stats: dict[str, Any]) -> Where:
    from alignment.feedback_events import Kind, Where

    kinds, models, mine = st.columns([5, 3, 2], vertical_alignment="bottom")
    chosen = kinds.pills(
        say("alignment.kinds"),
        KINDS,
        selection_mode="multi",
        format_func=lambda kind: say(f"alignment.kind_{kind}"),
        key="align_kinds",
    )
    model = models.selectbox(
        say("alignment.model_filter"),
        ["", *(name for name in stats["models"] if name)],
        format_func=lambda name: name or say("alignment.all_models"),
        key="align_model_filter",
    )
    who = person()
    own = bool(who.id) and mine.toggle(say("alignment.only_mine"), key="align_mine")
    return Where(kinds=cast("tuple[Kind, ...]", tuple(chosen or ())), model=model, person=who.id if own else "")


def _list(where: Where) -> None:
    from alignment.feedback import Feedback

    events = Feedback().events(where)
    if not events:
        st.caption(say("alignment.none_match"))
        return
    heads = [say(f"alignment.head_{name}") for name in ("id", "time", "kind", "person", "model", "said")]
    rows = [dict(zip(heads[1:], row(event)[1:], strict=True)) for event in reversed(events[-LISTED:])]
    st.dataframe(
        rows, hide_index=True, height=min(MOST_HEIGHT, 38 + 35 * len(rows)), width="stretch", key="align_events"
    )
    if len(events) > LISTED:
        st.caption(say("alignment.newest", shown=LISTED, all=len(events)))


def _make(where: Where) -> None:
    st.subheader(say("alignment.make_title"))
    to = st.radio(
        say("alignment.make_format"),
        FORMATS,
        format_func=lambda name: say(f"alignment.format_{name}"),
        captions=[say(f"alignment.format_{name}_about") for name in FORMATS],
        key="align_format",
    )
    name = st.text_input(say("alignment.set_name"), value=f"feedback-{to}", max_chars=60, key=f"align_set_name_{to}")
    passages = st.toggle(say("alignment.passages"), help=say("alignment.passages_help"), key="align_passages")
    if st.button(say("alignment.make"), type="primary", key="align_make", icon=":material/dataset:"):
        st.session_state.pop(MADE, None)
        with problems_shown():
            st.session_state[MADE] = align_datasets.from_feedback(to, name, where, passages)
    if made := st.session_state.get(MADE):
        _made(*made)


def _made(data: align_datasets.DataSet, report: Any) -> None:
    """What became of every piece of feedback, and the next step."""
    st.success(
        say("alignment.made", name=plain(data.name), rows=report.rows, used=report.used, events=report.events),
        icon=":material/check_circle:",
    )
    why, how_many = say("alignment.why_left_out"), say("alignment.how_many")
    if report.left_out:
        left = [{why: reason, how_many: number} for reason, number in report.left_out.items()]
        st.dataframe(left, hide_index=True, width="stretch")
    for what, number in report.conflicts.items():
        st.caption(say(f"alignment.conflict_{what}", number=number))
    if st.button(say("alignment.check_it"), type="primary", key="align_check_it", icon=":material/arrow_forward:"):
        st.session_state.pop(MADE, None)
        go("data", align_dataset=data.name)
