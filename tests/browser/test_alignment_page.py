"""The page of alignment in each of its states, looked at as a person does: by what it says and what it offers."""

import json

import pytest

from alignment.feedback import Feedback
from alignment.feedback_events import Exchange
from ui.browser import align_recipe_view

VIEWS = ["feedback", "data", "train", "runs", "models"]


@pytest.fixture
def open_view(open_page):
    def run(view, **state):
        return open_page("alignment", align_view=view, **state)

    return run


def button(page, key):
    return next((each for each in page.button if each.key == key), None)


def texts(*groups):
    return " ".join(str(each.value) for group in groups for each in group)


def say_something(store=None):
    store = store or Feedback()
    for number in range(6):
        asked = Exchange.of(f"What is in room {number}?", "Nothing.", model="tiny")
        store.edit(asked, f"Room {number} holds bread.", person="ann")
    store.vote(Exchange.of("Why is the sky blue?", "It mirrors the sea.", model="other"), -1, person="bob")
    return store


@pytest.mark.parametrize("view", VIEWS)
def test_each_place_opens_on_an_empty_home_and_offers_one_next_step(open_view, view):
    page = open_view(view)
    assert page.title[0].value == "Alignment"
    assert not page.error and not page.exception
    assert page.segmented_control[0].value == view


def test_without_the_packages_of_training_it_says_what_to_install(open_view, monkeypatch):
    from importlib import util

    found = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name, *more: None if name == "trl" else found(name, *more))
    page = open_view("train")
    assert "trl" in texts(page.info, page.error, page.caption)
    assert button(page, "align_start") is None
    assert not open_view("data").error, "the rest works without them"


def test_training_begins_with_a_recipe_whose_model_is_there(open_view, monkeypatch):
    monkeypatch.setattr(align_recipe_view, "choices", dict)
    assert open_view("train").selectbox(key="align_recipe").value == "pretrain-small"
    monkeypatch.setattr(align_recipe_view, "choices", lambda: {"some/model": "some/model"})
    assert open_view("train").selectbox(key="align_recipe").value == "sft-small"


def test_feedback_of_which_no_row_comes_says_what_helps(open_view):
    Feedback().vote(Exchange.of("Why is the sky blue?", "It mirrors the sea."), -1)
    page = button(open_view("feedback"), "align_make").click().run()
    assert "voted down" in page.error[0].value
    assert "choose another format" in texts(page.caption)


def test_feedback_becomes_a_data_set_and_what_was_left_out_is_said(open_view, home):
    say_something()
    page = open_view("feedback")
    assert [metric.value for metric in page.metric] == ["1", "6", "0", "0"]
    page = button(page, "align_make").click().run()
    assert "6 rows from 6 of 7" in page.success[0].value
    assert "the answer was voted down" in str(page.dataframe[-1].value)
    page = button(page, "align_check_it").click().run()
    assert page.segmented_control[0].value == "data"
    assert page.selectbox[0].value == "feedback-sft.jsonl"
    rows = [json.loads(line) for line in (home / "datasets" / "feedback-sft.jsonl").read_text().splitlines()]
    assert rows[0]["messages"][-1]["content"] == "Room 0 holds bread."
    page = button(page, "align_train_on").click().run()
    assert page.segmented_control[0].value == "train"
    assert page.session_state["align_data"] == str(home / "datasets" / "feedback-sft.jsonl")


def test_filters_leave_out_the_feedback_of_other_models(open_view):
    say_something()
    page = open_view("feedback", align_model_filter="other")
    page = button(page, "align_make").click().run()
    assert "no row of sft comes of 1 events" in texts(page.error).replace("\\", "")
    assert button(page, "align_check_it") is None


def test_rows_that_cannot_be_used_are_listed_with_their_reasons(open_view, home):
    good = {"prompt": "Say it.", "completion": "It."}
    lines = [json.dumps(good), '{"prompt": "Say it."', json.dumps(good | {"completion": 7}), json.dumps(good)]
    (home / "datasets").mkdir()
    (home / "datasets" / "mixed.jsonl").write_text("\n".join(lines) + "\n")
    page = open_view("data", align_dataset="mixed.jsonl")
    assert [metric.value for metric in page.metric] == ["4", "1", "2", "1"]
    assert "2 rows cannot be used" in page.warning[0].value
    bad = next(frame.value for frame in page.dataframe if "Reason" in frame.value)
    assert list(bad["Line"]) == [2, 3]
    assert list(bad["Field"]) == ["", "completion"]


def test_a_file_of_no_known_format_is_refused_with_the_formats_that_there_are(open_view, home):
    (home / "datasets").mkdir()
    (home / "datasets" / "odd.jsonl").write_text('{"colour": "red"}\n')
    page = open_view("data", align_dataset="odd.jsonl")
    said = texts(page.error, page.caption).replace("\\", "")
    assert "no known format" in said and "colour" in said and "messages" in said
    assert button(page, "align_train_on") is None


def test_a_file_that_is_brought_is_kept_under_a_name_of_ours(open_view, home):
    page = open_view("data")
    row = json.dumps({"prompt": "Say it.", "completion": "It."}).encode()
    page.file_uploader[0].upload("../../Évil <b>name</b>.JSONL", row, "application/json").run()
    page = button(page, "align_bring").click().run()
    assert [file.name for file in (home / "datasets").iterdir()] == ["b.jsonl"]
    assert page.selectbox[0].value == "b.jsonl"


def test_a_recipe_with_a_wrong_key_cannot_be_started_and_the_nearest_key_is_named(open_view):
    page = open_view("train", align_recipe="sft-small")
    assert not button(page, "align_start").disabled
    page.text_area[0].set_value(page.text_area[0].value + "\nlorra: {alpha: 8}\n").run()
    assert "lorra is unknown" in texts(page.error).replace("\\", "")
    assert "Did you mean lora" in texts(page.caption).replace("\\", "")
    assert button(page, "align_start").disabled and button(page, "align_look").disabled
    page.text_area[0].set_value("stage: [").run()
    assert "line" in texts(page.error)


def test_a_recipe_is_saved_as_ones_own_and_what_was_typed_outlives_a_look_elsewhere(open_view, home):
    page = open_view("train", align_recipe="sft-small")
    page.number_input[1].set_value(12).run()
    page.text_input[0].set_value("mine").run()
    page.segmented_control[0].set_value("data").run()
    page.segmented_control[0].set_value("train").run()
    assert (page.number_input[1].value, page.text_input[0].value) == (12, "mine")
    button(page, "align_save").click().run()
    assert (home / "recipes" / "mine.yaml").is_file()
    again = open_view("train", align_recipe="own:mine")
    assert (again.number_input[1].value, again.text_input[0].value) == (12, "mine")
