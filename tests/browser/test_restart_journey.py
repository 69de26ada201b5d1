"""The app is killed in the middle of an answer, of reading documents, of an agent's question and of a training.

After a restart everything is found again: jobs went on by themselves, the answer is shown as far as it was written.
"""

import pytest

from tests.browser.conftest import free_port, running_ui
from ui.browser import jobs

pytestmark = pytest.mark.browser
PROBE = "Say hello to me in one short sentence."
LONG = " ".join(f"word{number}" for number in range(400))
DOCUMENTS = 12


def reply(messages):
    """A long answer to a question; a thought and an action, in turn, for the agent."""
    if messages[-1]["content"] == PROBE:
        return '{"hearth": "ember-7351-kiln"}'
    if "write_note" not in str(messages[0]["content"]):
        return LONG
    if any(message["role"] == "assistant" for message in messages):
        return '{"name": "write_note", "arguments": {"title": "A title", "text": "kept"}}'
    return "I write it down."


@pytest.fixture
def documents(tmp_path):
    """Some files to read."""
    folder = tmp_path / "documents"
    folder.mkdir()
    for number in range(DOCUMENTS):
        (folder / f"{number}.md").write_text(f"# Paper {number}\n\n" + f"The kiln of {number} is warm. " * 200)
    return folder


def test_a_kill_in_the_middle_of_everything_loses_nothing(tmp_path, window, documents, mock_decoder, monkeypatch):
    home, port = tmp_path / "home", free_port()
    home.mkdir()
    monkeypatch.setenv("HEARTH_HOME", str(home))
    mock_decoder.reply, mock_decoder.pace = reply, 0.0
    settings = {"HEARTH_DECODER_BASE_URL": mock_decoder.base_url, "HEARTH_DECODER_PRESET": "openai"}
    with running_ui(home, port, **settings) as live:
        window.goto(f"{live.url}/agents")
        window.get_by_label("Task", exact=True).fill("Keep a note with write_note.")
        window.get_by_role("button", name="Run", exact=True).click()
        window.get_by_role("heading", name="write_note wants to write").wait_for()
        agent = window.url
        jobs.start("index", "papers", {"kb": "papers", "paths": [str(documents)], "urls": [], "rebuild": False})
        mock_decoder.pace = 0.03
        window.goto(live.url)
        window.get_by_test_id("stChatInputTextArea").fill("Tell me a long story.")
        window.keyboard.press("Enter")
        window.get_by_text("word150").wait_for()  # what was written is kept about once a second
        live.kill()
    with running_ui(home, port, **settings) as live:
        window.goto(live.url)
        window.get_by_text("Tell me a long story.").first.click()
        window.get_by_text("Hearth was closed while this answer was being written").wait_for()
        window.get_by_text("word5 ").wait_for()
        mock_decoder.pace = 0.0
        window.get_by_role("button", name="Try again").click()
        window.get_by_text("word399").wait_for()
        window.goto(agent)
        window.get_by_role("button", name="Approve").click()
        window.get_by_text("kept").first.wait_for()
        (reading,) = jobs.every(kind="index")
        assert jobs.wait(reading, 60).state == "done"
        window.goto(f"{live.url}/knowledge")
        window.get_by_text(f"{DOCUMENTS} added").first.wait_for()
    for job in jobs.every():
        jobs.kill(job)
