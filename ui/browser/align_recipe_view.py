"""A recipe as a form: what matters first, everything else as YAML, a look before the leap, and the start."""

from __future__ import annotations

from typing import Any

import streamlit as st

from alignment.recipe import as_plain
from alignment.sections import Recipe
from decoder.errors import HearthError
from ui.browser import align_datasets, align_look_view, align_recipes, jobs
from ui.browser.align_models import choices, model_choice, usable
from ui.browser.align_recipes import Form
from ui.browser.align_steps import go
from ui.browser.person import person
from ui.browser.problems import problems_shown, show_problem
from ui.browser.safe_text import plain
from ui.browser.strings import say

FIELDS = ("name", "model", "data", "epochs", "steps", "rate", "rank", "yaml")
DRAFT, FILL = "align_draft", "align_fill"


def show() -> None:
    """Choose a recipe, fill it in, look, start."""
    _need_training()
    ids = align_recipes.known()
    if st.session_state.get("align_recipe") not in ids:
        st.session_state["align_recipe"] = st.session_state.get(DRAFT, {}).get("recipe") or _first()
    if st.session_state["align_recipe"] not in ids:
        st.session_state["align_recipe"] = ids[0]
    recipe_id = st.selectbox(
        say("alignment.recipe"), ids, key="align_recipe", format_func=lambda each: each.removeprefix(align_recipes.OWN)
    )
    if about := align_recipes.about(recipe_id):
        st.caption(plain(about))
    _fill(recipe_id)
    form = _form(recipe_id)
    recipe = _read(form, st.session_state["align_yaml"])
    _buttons(recipe_id, recipe)
    align_look_view.watch("recipe")


def _first() -> str:
    """The recipe to begin with: one that needs a model only where there is one."""
    return "sft-small" if choices() else "pretrain-small"


def _need_training() -> None:
    """Raises MissingExtra, which the page shows as a sentence with the command."""
    from alignment.models import require_training

    require_training()


def _fill(recipe_id: str) -> None:
    """The controls' values: of the recipe when it was just chosen, else as they were left."""
    asked: dict[str, Any] = st.session_state.pop(FILL, {})
    draft = st.session_state.get(DRAFT, {})
    if draft.get("recipe") == recipe_id and not asked:
        for name in FIELDS:
            st.session_state.setdefault(f"align_{name}", draft[name])
        return
    form, rest = align_recipes.take_out(align_recipes.values_of(recipe_id))
    if "rows" in asked:
        rest = align_recipes.for_rows(rest, asked["rows"])
    model = form.model
    if model and not usable(model):
        model = next(iter(choices()), model)
    values = (
        align_recipes.free_name(form.name or recipe_id), model, asked.get("data", form.data),
        form.epochs, form.steps, form.learning_rate, form.rank, align_recipes.as_yaml(rest),
    )  # fmt: skip
    for name, value in zip(FIELDS, values, strict=True):
        st.session_state[f"align_{name}"] = value


def _form(recipe_id: str) -> Form:
    name, data = st.columns(2)
    name.text_input(say("alignment.run_name"), key="align_name", max_chars=64, help=say("alignment.run_name_help"))
    with data:
        _data_choice()
    model_choice(
        say("alignment.model"), "align_model", also=st.session_state["align_model"], empty=say("alignment.from_nothing")
    )
    if (model := st.session_state["align_model"]) and not usable(model):
        st.warning(say("alignment.model_missing", model=plain(model)), icon=":material/deployed_code_alert:")
    epochs, steps, rate, rank = st.columns(4)
    epochs.number_input(
        say("alignment.epochs"), 0.0, 1e6, key="align_epochs", step=1.0, help=say("alignment.zero_default")
    )
    steps.number_input(say("alignment.steps"), 0, 10**9, key="align_steps", step=10, help=say("alignment.steps_help"))
    rate.number_input(
        say("alignment.rate"), 0.0, 10.0, key="align_rate", step=1e-5, format="%.2e", help=say("alignment.zero_default")
    )
    rank.number_input(say("alignment.rank"), 0, 4096, key="align_rank", step=4, help=say("alignment.rank_help"))
    with st.expander(say("alignment.all_settings"), icon=":material/tune:"):
        st.text_area(say("alignment.yaml"), key="align_yaml", height=320, help=say("alignment.yaml_help"))
    state = st.session_state
    st.session_state[DRAFT] = {"recipe": recipe_id} | {each: state[f"align_{each}"] for each in FIELDS}
    return Form(
        state["align_name"].strip(), state["align_model"] or "", state["align_data"] or "", state["align_epochs"],
        state["align_steps"], state["align_rate"], state["align_rank"],
    )  # fmt: skip


def _data_choice() -> None:
    names = {each.source: each.name for each in align_datasets.every()}
    options = list(names)
    if (now := st.session_state["align_data"]) not in options:
        options.insert(0, now)
    st.selectbox(
        say("alignment.data"),
        options,
        key="align_data",
        format_func=lambda source: names.get(source) or source or say("alignment.no_data"),
        accept_new_options=True,
        help=say("alignment.data_help"),
    )


def _read(form: Form, text: str) -> Recipe | None:
    """The recipe, strictly read; what is wrong with it is said below the form."""
    try:
        return align_recipes.recipe_of(form, text)
    except HearthError as error:
        show_problem(error)
    return None


def _buttons(recipe_id: str, recipe: Recipe | None) -> None:
    with st.container(horizontal=True):
        begin = st.button(
            say("alignment.start"),
            type="primary",
            key="align_start",
            icon=":material/play_arrow:",
            disabled=recipe is None,
        )
        look = st.button(say("alignment.look"), key="align_look", icon=":material/search:", disabled=recipe is None)
        save = st.button(say("alignment.save"), key="align_save", icon=":material/save:", disabled=recipe is None)
        if recipe_id.startswith(align_recipes.OWN) and st.button(say("alignment.remove"), key="align_remove_recipe"):
            align_recipes.remove(recipe_id)
            st.session_state.pop(DRAFT, None)
            st.rerun()
    if recipe is None:
        return
    with problems_shown():
        if begin:
            output = begin_run(recipe)
            st.session_state.pop(DRAFT, None)
            go("runs", align_run=output)
        if look:
            values = as_plain(recipe) | {"output": str(align_recipes.output_of(recipe.name))}
            align_look_view.start(values, measure=True, rows=(0, 1, 2), key="recipe")
            st.rerun()
        if save:
            saved = align_recipes.save(recipe.name, as_plain(recipe))
            st.toast(say("alignment.saved", name=plain(saved.removeprefix(align_recipes.OWN))))


def begin_run(recipe: Recipe) -> str:
    """Start it as a job with a folder of its own; the folder. Raises RecipeError, UsageError, ServiceError."""
    output = str(align_recipes.output_of(recipe.name))
    values = as_plain(recipe) | {"output": output}
    jobs.start("align", recipe.name, {"recipe": values, "output": output, "resume": False}, person().id)
    return output
