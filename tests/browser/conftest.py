"""What tests of the browser's app share: a home, pages run by AppTest, and a running app."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parents[2]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty HEARTH_HOME of this test, and nothing shared with others in this process."""
    from ui.browser import opened

    monkeypatch.setenv("HEARTH_HOME", str(tmp_path))
    monkeypatch.setattr(opened, "_bases", {})
    monkeypatch.setattr(opened, "_decoders", {})
    yield tmp_path
    for each in (*opened._bases.values(), *opened._decoders.values()):
        if hasattr(each, "close"):  # a test may have put a stand-in there
            each.close()


@pytest.fixture
def open_page(home):
    """open_page("chat") -> the AppTest of that page, run once within the whole app."""
    from streamlit.testing.v1 import AppTest

    def run(name="chat", **state):
        test = AppTest.from_file(str(HOUSE / "ui" / "app.py"), default_timeout=60)
        for key, value in state.items():
            test.session_state[key] = value
        if name != "chat":
            test.run()
            test.switch_page(f"pages/{name}.py")
        test.run()
        assert not test.exception
        return test

    return run


@dataclass
class LiveUi:
    """A running `hearth ui`."""

    url: str
    process: subprocess.Popen
    log: Path

    def stop(self):
        self.process.terminate()
        self.process.wait(20)

    def kill(self):
        self.process.kill()
        self.process.wait(20)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running_ui(home, port=None, **environment):
    """`hearth ui` on a home of its own, ready to be looked at."""
    port, log = port or free_port(), Path(home) / "ui.log"
    variables = {k: v for k, v in os.environ.items() if not k.startswith("HEARTH_") or k == "HEARTH_SERVER_PYTHON"}
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "ui.cli", "ui", "--no-browser", "--port", str(port)],
            cwd=HOUSE,
            env={**variables, "HEARTH_HOME": str(home), "PYTHONPATH": str(HOUSE), **environment},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    live = LiveUi(f"http://127.0.0.1:{port}", process, log)
    try:
        _until_healthy(live)
        yield live
    finally:
        if process.poll() is None:
            live.kill()


def _until_healthy(live):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert live.process.poll() is None, live.log.read_text()
        try:
            with urllib.request.urlopen(f"{live.url}/_stcore/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(live.log.read_text())


@pytest.fixture(scope="session")
def mock_decoder():
    """A decoder that says what a test wants; set `.reply` and `.pace`. Not a model."""
    from tests.browser.mock_decoder import MockDecoder

    with MockDecoder() as mock:
        yield mock


@pytest.fixture(scope="session")
def live_home(tmp_path_factory):
    """HEARTH_HOME of `live`."""
    return tmp_path_factory.mktemp("live")


@pytest.fixture(scope="session")
def live(live_home, mock_decoder):
    """One running app for all browser tests of this process, with the mock decoder behind it."""
    with running_ui(
        live_home, HEARTH_DECODER_BASE_URL=mock_decoder.base_url, HEARTH_DECODER_PRESET="openai"
    ) as running:
        yield running
