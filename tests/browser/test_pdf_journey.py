"""The first chat: a PDF is attached, a question is answered from it, and the citation opens in its page."""

import pytest

from tests.browser.conftest import HOUSE, running_ui
from tests.browser.test_accessibility import findings

pytestmark = pytest.mark.browser
DOCUMENT = HOUSE / "examples" / "manual" / "04-serving.pdf"


def test_a_pdf_is_attached_and_its_citation_opens_in_its_page(tmp_path, window):
    with running_ui(tmp_path) as live:
        window.set_default_timeout(60_000)
        window.goto(live.url)
        field = window.get_by_test_id("stChatInputTextArea")
        field.wait_for()
        window.locator("[data-testid=stChatInput] input[type=file]").first.set_input_files(DOCUMENT)
        window.get_by_text(DOCUMENT.name).first.wait_for()
        field.fill("How long does starting take on a small machine?")
        window.get_by_test_id("stChatInputSubmitButton").click()  # waits for the file, as Enter does not
        chip = window.get_by_role("button", name="1 · 04-serving.pdf, page 1")
        chip.wait_for()
        window.get_by_text("one to three minutes").first.wait_for()
        window.get_by_role("button", name="Answer again").wait_for()
        assert findings(window) == []
        chip.click()
        page = window.get_by_role("dialog").get_by_role("img").first
        page.wait_for()
        assert page.evaluate("image => image.complete && image.naturalWidth") > 500
        assert "04-serving.pdf" in page.get_attribute("alt")
        window.get_by_role("dialog").get_by_text("one to three minutes").first.wait_for(state="attached")
        assert findings(window) == []
