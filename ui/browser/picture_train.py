"""Train: a recipe as a form, and the runs that there are, each watched while it trains."""

from __future__ import annotations

from typing import Any

import streamlit as st

from ui.browser.person import person
from ui.browser.picture_first import show_first, start_training
from ui.browser.picture_recipes import check, defaults, overrides_of, shipped
from ui.browser.picture_runs import PictureRun, every_run, new_run_id
from ui.browser.picture_watch import show_run, train_jobs
from ui.browser.problems import problems_shown
from ui.browser.strings import say

USUAL = "vae-digits"


def show_train() -> None:
    """The runs beside the form of a new one; the first model where there is none."""
    who = person()
    runs = {run.id: run for run in every_run(who.prefix, who.admin)}
    jobs_by_run = train_jobs()
    ids = [*(each for each in jobs_by_run if each not in runs), *runs]
    if not ids:
        show_first()
    else:
        _runs(ids, runs)
    with st.expander(say("pictures.new_training"), icon=":material/add:", expanded=False), problems_shown():
        _form()


def _runs(ids: list[str], runs: dict[str, PictureRun]) -> None:
    following = st.session_state.pop("pictures-run-next", None)
    if following in ids:
        st.session_state["pictures-run"] = following
    if st.session_state.get("pictures-run") not in ids:
        st.session_state["pictures-run"] = ids[0]
    prefix = person().prefix
    chosen = st.selectbox(
        say("pictures.run"),
        ids,
        format_func=lambda each: _called(runs.get(each), each, prefix),
        key="pictures-run",
    )
    with problems_shown():
        show_run(chosen)


def _called(run: PictureRun | None, run_id: str, prefix: str) -> str:
    if run is None:
        return run_id.partition(":")[2].removeprefix(prefix)
    return say("pictures.run_status", name=run.name, family=run.family, status=run.status or "…")


def _form() -> None:
    """What a new training is asked for. Raises RecipeError, UsageError, ServiceError."""
    recipes = {each.name: each for each in shipped()}
    st.session_state.setdefault("pictures-recipe", USUAL)
    name = st.selectbox(say("pictures.recipe"), list(recipes), key="pictures-recipe")
    st.text(recipes[name].about)
    given = defaults(name)
    called = st.text_input(say("pictures.run_name"), name, key=f"pictures-name-{name}", max_chars=60)
    form: dict[str, Any] = {}
    left, right = st.columns(2)
    with left:
        form["seconds"] = st.number_input(
            say("pictures.budget"), 0.0, value=float(given["seconds"]), key=f"pictures-seconds-{name}",
            help=say("pictures.budget_help"),
        )  # fmt: skip
        form["size"] = st.number_input(
            say("pictures.size"), 4, 1024, value=int(given["size"]), key=f"pictures-size-{name}"
        )
        form["source"] = st.text_input(
            say("pictures.data"), given["source"], key=f"pictures-source-{name}", help=say("pictures.data_help")
        )
    with right:
        form["steps"] = st.number_input(
            say("pictures.max_steps"), 0, value=int(given["steps"]), key=f"pictures-max-steps-{name}",
            help=say("pictures.max_steps_help"),
        )  # fmt: skip
        form["seed"] = st.number_input(
            say("pictures.seed"), 0, 2**31 - 1, value=int(given["seed"]), key=f"pictures-train-seed-{name}"
        )
        form["grids"] = st.number_input(
            say("pictures.grids_every"), 0, value=int(given["grids"]), key=f"pictures-grids-{name}",
            help=say("pictures.grids_every_help"),
        )  # fmt: skip
    with st.expander(say("pictures.advanced")):
        st.code(recipes[name].text, language=None)
        more = st.text_area(say("pictures.overrides"), key=f"pictures-more-{name}", help=say("pictures.overrides_help"))
    if st.button(say("pictures.start_training"), type="primary", key="pictures-train"):
        overrides = overrides_of(form, more)
        with st.spinner(say("pictures.checking")):
            check(name, overrides)
        spec = {"does": "train", "recipe": name, "overrides": overrides, "name": called}
        start_training({**spec, "run": new_run_id(called, person().prefix)}, say("pictures.training", name=called))
