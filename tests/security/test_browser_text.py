"""Hostile text in the browser: it is shown letter by letter, nothing of it runs, and nothing is fetched for it."""

import os
import subprocess
import sys
import time
import urllib.request

import pytest
from streamlit.testing.v1 import AppTest

from benchmarks.safe_text import SEEDS, text_of
from tests.browser.conftest import HOUSE, free_port
from tests.browser.shown_letters import shown, solid
from tests.security.hostile_checks import Canary, assert_harmless
from tests.security.hostile_strings import hostile
from ui.browser.safe_text import LONGEST_READ, plain, safe_markdown

PAGE = HOUSE / "tests" / "security" / "hostile_page.py"
SHOWN = """() => Object.fromEntries([...document.querySelectorAll('[class*="st-key-"]')].map((place) => [
    [...place.classList].find((name) => name.startsWith('st-key-')).slice(7),
    [...place.querySelectorAll('[data-testid=stMarkdownContainer],[data-testid=stCaptionContainer]')]
        .map((each) => each.textContent)]))"""


@pytest.fixture(scope="module")
def canary():
    with Canary() as place:
        yield place


@pytest.fixture(scope="module")
def hostile_url(canary, tmp_path_factory):
    """Where the page of all strings is shown."""
    port, log = free_port(), tmp_path_factory.mktemp("hostile") / "log"
    options = {"server.port": port, "server.address": "127.0.0.1", "server.headless": "true"}
    options |= {"server.fileWatcherType": "none"}
    command = [sys.executable, "-m", "streamlit", "run", str(PAGE)]
    command += [word for name, value in options.items() for word in (f"--{name}", str(value))]
    environment = {**os.environ, "PYTHONPATH": str(HOUSE), "HEARTH_TEST_PLACE": canary.place}
    with log.open("ab") as out:
        process = subprocess.Popen(command, cwd=HOUSE / "ui", env=environment, stdout=out, stderr=out)
    try:
        for _ in range(600):
            assert process.poll() is None, log.read_text()
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=2).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def test_there_are_more_than_a_hundred():
    assert len(set(hostile("127.0.0.1:1"))) > 100


def test_a_page_of_all_of_them_runs(monkeypatch):
    monkeypatch.setenv("HEARTH_TEST_PLACE", "127.0.0.1:1")
    test = AppTest.from_file(str(PAGE), default_timeout=60).run()
    assert not test.exception
    assert test.caption[-1].value == "all shown"


@pytest.mark.browser
def test_every_kind_of_place_shows_their_letters_and_obeys_none(hostile_url, canary, window):
    asked, dialogs = [], []
    window.on("request", lambda request: asked.append(request.url))
    window.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    window.goto(hostile_url)
    window.get_by_text("all shown").wait_for(timeout=90_000)
    window.wait_for_function("document.querySelectorAll('[role=radiogroup] label').length > 100")
    window.wait_for_function("!document.querySelector('[data-testid=stSkeleton]')")
    seen, texts = window.evaluate(SHOWN), hostile(canary.place)
    letters = [solid(text) or "empty" for text in texts]
    assert [solid(label) for label in seen.pop("options")[1:]] == letters
    alone = {name: places for name, places in seen.items() if name.startswith("markdown-")}
    expected = {f"markdown-{number}": shown(safe_markdown(text)) for number, text in enumerate(texts)}
    assert {name: solid("".join(places)) for name, places in alone.items()} == expected
    together = {name: places for name, places in seen.items() if name.startswith("all-")}
    assert len(together) == 16
    for name, places in together.items():
        assert "".join(letters) in [solid(place) for place in places], name
    assert_harmless(window, hostile_url)
    window.locator(".st-key-all-button button").first.hover()
    assert_harmless(window, hostile_url)
    assert not dialogs
    assert not canary.asked
    assert {url for url in asked if not url.startswith((f"{hostile_url}/", f"ws://{hostile_url[7:]}/"))} == set()


@pytest.mark.parametrize("make_safe", [plain, safe_markdown])
def test_the_work_of_making_text_safe_grows_with_its_length_and_no_faster(make_safe):
    """Lines of Python that are run for a text twice as long; `benchmarks.safe_text` measures the seconds."""
    making = getattr(make_safe, "__wrapped__", make_safe)
    for seed in SEEDS:
        short, long = (lines_run(making, text_of(seed, length)) for length in (LONGEST_READ // 4, LONGEST_READ // 2))
        assert long < 2.5 * short + 1000, seed


def lines_run(making, text):
    count, before = 0, sys.gettrace()

    def trace(frame, event, argument):
        nonlocal count
        count += event == "line"
        return trace

    making("warm")  # what is imported and built once does not count
    sys.settrace(trace)
    try:
        making(text)
    finally:
        sys.settrace(before)
    return count
