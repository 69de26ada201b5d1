"""The chat in a real browser: ask, watch, stop, answer again, edit, reload."""

import re
import time

import pytest

LONG = " ".join(f"word{number}" for number in range(300))


def reply(messages):
    return LONG if "long" in messages[-1]["content"] else f"Answered: {messages[-1]['content']}"


@pytest.mark.browser
def test_ask_watch_stop_again_edit_and_reload(live, window, mock_decoder):
    mock_decoder.reply, mock_decoder.pace = reply, 0.03
    mock_decoder.halt = 120  # however long the page takes, the answer has not ended by itself before Stop
    try:
        window.goto(live.url)
        line = window.get_by_test_id("stChatInputTextArea")
        line.fill("a long one")
        line.press("Enter")
        window.get_by_text(re.compile("word0 word1")).wait_for()
        assert not window.get_by_role("button", name="Edit").count()
        stop = window.get_by_role("button", name="Stop")
        place, left = stop.bounding_box(), mock_decoder.left
        window.reload()  # the answer is found again
        window.get_by_text(re.compile("word5 ")).wait_for()
        window.get_by_role("button", name="Stop").click()
        window.get_by_text("Stopped. This much was written.").wait_for()
        assert stop.bounding_box() == place
        deadline = time.monotonic() + 5
        while mock_decoder.left == left and time.monotonic() < deadline:
            time.sleep(0.02)
        assert mock_decoder.left == left + 1

        window.get_by_role("button", name="Edit").click()
        mock_decoder.halt = None
        window.get_by_label("Question", exact=True).fill("a short one")
        window.get_by_role("button", name="Send", exact=True).click()
        window.get_by_text("Answered: a short one").wait_for()
        window.get_by_role("button", name="Answer again").click()
        window.get_by_text("3 of 3").wait_for()
        window.get_by_role("button", name="Previous version").click()
        window.get_by_text("2 of 3").wait_for()
        window.get_by_text("Answered: a short one").wait_for()

        window.reload()
        window.get_by_text("2 of 3").wait_for()
        window.get_by_role("button", name="Previous version").click()
        window.get_by_text("1 of 3").wait_for()
        window.get_by_text(re.compile("word0 word1")).wait_for()
        window.get_by_role("button", name="New chat").click()
        window.get_by_text("Ask a question.").wait_for()
        window.get_by_role("button", name="a long one").click()
        window.get_by_text("1 of 3").wait_for()
    finally:
        mock_decoder.pace, mock_decoder.halt = 0.0, None


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_stays_at_its_end_until_the_reader_scrolls_up(live, window, mock_decoder, width):
    from playwright.sync_api import expect

    mock_decoder.reply = lambda messages: "\n\n".join(f"Paragraph {number} says little." for number in range(40))
    mock_decoder.pace = 0.01
    below = "main => main.scrollHeight - main.scrollTop - main.clientHeight"
    try:
        window.set_default_timeout(60_000)  # on a machine that is busy, opening the page alone may take 20 s
        window.set_viewport_size({"width": width, "height": 850})
        window.goto(live.url)
        main = window.locator("[id=stMain]")
        line = window.get_by_test_id("stChatInputTextArea")
        for question in ("one", "two"):
            line.fill(question)
            line.press("Enter")
            window.get_by_text("Paragraph 39 says").nth(0 if question == "one" else 1).wait_for()
            expect(window.get_by_role("button", name="Stop")).to_be_disabled(timeout=60_000)
            window.wait_for_function(f"({below})(document.getElementById('stMain')) < 50")
        mock_decoder.halt = 60
        line.fill("three")
        line.press("Enter")
        window.get_by_text("Paragraph 18 says").nth(2).wait_for()
        main.hover()
        scroll_up(window, lambda: main.evaluate(below))
        mock_decoder.halt = None
        window.get_by_text("Paragraph 39 says").nth(2).wait_for()
        expect(window.get_by_role("button", name="Stop")).to_be_disabled(timeout=60_000)
        assert main.evaluate(below) > 300
    finally:
        mock_decoder.pace, mock_decoder.halt = 0.0, None


def scroll_up(window, below):
    """Turn the wheel until the page stays there.

    Streamlit takes a turn that falls together with new text for a part of its growth, and goes to the end again.
    """
    for _ in range(5):
        window.mouse.wheel(0, -300)
        window.wait_for_timeout(500)
        if below() > 200:
            return
    raise AssertionError("the page does not let its reader scroll up")
