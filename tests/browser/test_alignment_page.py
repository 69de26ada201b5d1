"""The page of alignment in each of its states, looked at as a person does: by what it says and what it offers."""

import json

import pytest

from alignment.feedback import Feedback
from alignment.feedback_events import Exchange

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
