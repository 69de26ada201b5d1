"""In a real browser: a task whose effect is approved in place; and no page runs past the app and its sign-in."""

import json

import pytest

from tests.browser.conftest import running_ui

pytestmark = pytest.mark.browser
PROBE = "Say hello to me in one short sentence."
NOTE = {"title": "Days left", "text": "31 days."}
TURNS = (
    "I write it down.",
    json.dumps({"name": "write_note", "arguments": NOTE}),
    "It is kept.",
    json.dumps({"name": "final_answer", "arguments": {"answer": "31 days are left."}}),
)


def reply(messages):
    """As a model that is held to its tools: a thought and an action in turn."""
    if messages[-1]["content"] == PROBE:
        return '{"hearth": "ember-7351-kiln"}'
    return TURNS[sum(message["role"] == "assistant" for message in messages)]


def test_an_effect_is_approved_in_place_and_the_answer_comes(live, live_home, window, mock_decoder):
    mock_decoder.reply, mock_decoder.pace = reply, 0.0
    window.goto(f"{live.url}/agents")
    window.get_by_label("Task", exact=True).fill("How many days are left? Keep it as a note.")
    window.get_by_role("button", name="Run", exact=True).click()
    window.get_by_role("heading", name="write_note wants to write").wait_for()
    assert not (live_home / "notes").exists()
    address = window.url
    assert "run=" in address
    window.reload()  # found again, as it was
    window.get_by_role("button", name="Approve").click()
    window.get_by_text("31 days are left.").wait_for()
    assert (live_home / "notes" / "everybody" / "days-left.md").read_text() == "31 days."
    window.get_by_role("button", name="Replay").click()
    window.get_by_text("Verified: ").wait_for()
    window.get_by_text("Notes (1)").click()
    window.get_by_text("31 days.", exact=True).wait_for()
    assert window.url == address


def test_an_address_of_a_page_does_not_lead_past_the_sign_in(tmp_path, window):
    with running_ui(tmp_path, HEARTH_UI_TRUSTED_HEADER="X-Forwarded-User") as fresh:
        window.goto(f"{fresh.url}/agents")
        window.get_by_text("does not say who you are").wait_for()
        assert window.get_by_label("Task", exact=True).count() == 0
