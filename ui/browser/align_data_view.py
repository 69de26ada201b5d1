"""Data sets: brought, checked row by row, split, and looked at token by token."""

from __future__ import annotations

import json
from typing import Any

import streamlit as st

from ui.browser import align_datasets, align_look_view, align_recipes
from ui.browser.align_datasets import SHOWN, Checked, DataSet
from ui.browser.align_models import model_choice
from ui.browser.align_steps import go
from ui.browser.problems import problems_shown
from ui.browser.safe_text import plain
from ui.browser.settings import ui_settings
from ui.browser.strings import say

LONGEST = 2000


def show() -> None:
    """Bring one, choose one, see what it holds."""
    _bring()
    names = [each.name for each in align_datasets.every()]
    if st.session_state.get("align_dataset") not in names:
        st.session_state["align_dataset"] = names[0]
    name = st.selectbox(say("alignment.dataset"), names, key="align_dataset")
    found = align_datasets.find(name)
    data = _checked(found)
    if data is not None:
        _next(found, data)
        _report(data)
        _split(found)
        _masks(found, data)
    if not found.example:
        _remove(found)


def _bring() -> None:
    with st.expander(say("alignment.bring"), icon=":material/upload:"):
        given = st.file_uploader(
            say("alignment.bring_file"),
            type=[ending.lstrip(".") for ending in align_datasets.ENDINGS],
            max_upload_size=ui_settings().max_upload_mb,
            key="align_upload",
        )
        if st.button(say("alignment.bring_it"), disabled=given is None, key="align_bring") and given is not None:
            with problems_shown():
                kept = align_datasets.keep(given.name, given.getvalue())
                go("data", align_dataset=kept.name)


def _checked(found: DataSet) -> Checked | None:
    """What alignment reads of it, or what it has against all of it."""
    read: list[Checked] = []
    with problems_shown(), st.spinner(say("alignment.checking"), show_time=True):
        read.append(_check(found.source, found.size, found.made))
    return read[0] if read else None


@st.cache_data(max_entries=8, show_spinner=False)
def _check(source: str, size: int, made: float) -> Checked:
    """Kept until the file is another."""
    return align_datasets.checked(source)


def _next(found: DataSet, data: Checked) -> None:
    stage = align_datasets.STAGES.get(data.format, "sft")
    st.caption(say("alignment.format_found", format=say(f"alignment.rows_{data.format}"), stage=stage))
    if st.button(
        say("alignment.train_on", name=plain(found.name)), type="primary", key="align_train_on", icon=":material/tune:"
    ):
        go("train", align_recipe=f"{stage}-small", align_fill={"data": found.source, "rows": data.to_train})


def _report(data: Checked) -> None:
    figures = {"rows": data.rows, "kept": data.kept, "bad": data.bad, "duplicates": data.duplicates}
    for column, (name, value) in zip(st.columns(len(figures)), figures.items(), strict=True):
        column.metric(say(f"alignment.count_{name}"), f"{value:,}")
    for note in data.notes:
        st.caption(plain(note))
    if data.bad:
        st.warning(say("alignment.bad_rows", count=data.bad), icon=":material/error:")
        heads = [say(f"alignment.bad_{name}") for name in ("row", "line", "field", "reason")]
        bad = [
            dict(zip(heads, (each.index, each.line or None, each.field, each.reason), strict=True))
            for each in data.bad_rows
        ]
        st.dataframe(bad, hide_index=True, width="stretch", key="align_bad")
    with st.expander(say("alignment.first_rows")):
        for row in data.first:
            st.code(
                _shortened(json.dumps(row, ensure_ascii=False, indent=1, default=str)), language=None, wrap_lines=True
            )


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _split(found: DataSet) -> None:
    with st.expander(say("alignment.split"), icon=":material/call_split:"):
        st.caption(say("alignment.split_about"))
        share = st.slider(say("alignment.split_share"), 5, 50, 20, 5, format="%d%%", key="align_share")
        if st.button(say("alignment.split_it"), key="align_split"):
            with problems_shown():
                train, held = align_datasets.split(found.name, share / 100)
                st.session_state["align_split_made"] = (found.name, train.name, held.name)
                go("data", align_dataset=train.name)
    made = st.session_state.get("align_split_made")
    if made and made[1] == found.name:
        st.success(say("alignment.split_made", train=plain(made[1]), held=plain(made[2])), icon=":material/call_split:")


def _masks(found: DataSet, data: Checked) -> None:
    """Which tokens a model would be taught, as the dry run finds them."""
    stage = align_datasets.STAGES.get(data.format, "sft")
    if stage == "pretrain":
        return
    with st.expander(say("alignment.masks"), icon=":material/highlight:"):
        model = model_choice(say("alignment.masks_model"), key="align_mask_model")
        most = max(data.to_train - 1, 0)
        first = st.number_input(say("alignment.masks_first"), 0, most, 0, key="align_mask_row")
        if st.button(say("alignment.masks_show"), disabled=not model, key="align_mask_show"):
            with problems_shown():
                values = _plain_recipe(stage, model, found.source)
                rows = list(range(int(first), int(first) + SHOWN))
                align_look_view.start(values, measure=False, rows=rows, key="masks")
        align_look_view.watch("masks", facts=False)


def _plain_recipe(stage: str, model: str, source: str) -> dict[str, Any]:
    """The stage's small recipe on these rows, for what it trains of them."""
    form, rest = align_recipes.take_out(align_recipes.values_of(f"{stage}-small"))
    rest["data"] = {"skip_bad": True}
    return align_recipes.put_in(align_recipes.Form(f"look-{stage}", model, source, rank=form.rank), rest)


def _remove(found: DataSet) -> None:
    with st.popover(say("alignment.remove"), icon=":material/delete:"):
        st.write(say("alignment.remove_sure", name=plain(found.name)))
        if st.button(say("alignment.remove_yes"), key="align_remove"):
            align_datasets.remove(found.name)
            go("data")
