"""Hostile text through the real pages: as a question, a title, what the model says, a file's name and its content."""

import pytest

from tests.browser.conftest import running_ui
from tests.browser.mock_decoder import MockDecoder
from tests.browser.shown_letters import shown, solid
from tests.security.hostile_checks import Canary, assert_harmless
from tests.security.hostile_strings import hostile
from ui.browser.safe_text import safe_markdown

NAME = "[x](javascript:alert(1)) <img src=x onerror=window.pwned=1> :smile: $x$.txt"


@pytest.mark.browser
def test_hostile_text_in_chat_and_knowledge_is_shown_and_not_obeyed(window, tmp_path, monkeypatch):
    asked, dialogs = [], []
    window.on("request", lambda request: asked.append(request.url))
    window.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    with Canary() as canary, MockDecoder() as mock:
        texts = [text for text in hostile(canary.place) if text.strip() and "\ud800" not in text]
        everything = "\n\n".join(text for text in texts if len(text) < 400 and "\n" not in text and text[0] != " ")
        mock.reply = lambda messages: everything
        document = tmp_path / "docs" / NAME
        document.parent.mkdir()
        document.write_text(everything, encoding="utf-8")
        with running_ui(tmp_path, HEARTH_DECODER_BASE_URL=mock.base_url, HEARTH_DECODER_PRESET="openai") as live:
            _chat(window, live, everything)
            assert_harmless(window, live.url)
            _knowledge(window, live, document)
            assert_harmless(window, live.url)
            strangers = [
                url for url in asked if not url.startswith((f"{live.url}/", f"ws{live.url[4:]}/", "data:", "blob:"))
            ]
        assert not strangers
        assert not canary.asked
        assert not dialogs


def _chat(window, live, everything):
    window.goto(f"{live.url}/chat")
    field = window.locator("[data-testid=stChatInputTextArea]")
    field.fill(everything[:2000])
    field.press("Enter")
    window.locator("[class*=st-key-chat-actions]").first.wait_for(timeout=60_000)
    answer = window.locator("[data-testid=stChatMessage]").nth(1).locator("[data-testid=stMarkdownContainer]").first
    assert solid(answer.text_content()) == shown(safe_markdown(everything))


def _knowledge(window, live, document):
    window.goto(f"{live.url}/knowledge")
    window.get_by_role("heading", name="Knowledge", exact=True).first.wait_for()
    chooser = window.locator("input[type=file]").first
    chooser.wait_for(state="attached")
    chooser.set_input_files(str(document))
    read = window.locator(".st-key-knowledge-create button, .st-key-knowledge-read button").first
    read.click()
    window.locator("[data-testid=stTabs]").first.wait_for(timeout=60_000)
