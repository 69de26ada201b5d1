"""`hearth ui`: where it listens, and what it refuses."""

import importlib.util
import json
import os
import socket

import pytest

from ui.cli import ui
from ui.cli.main import main


@pytest.fixture
def started(monkeypatch, tmp_path):
    """The command lines that would have taken the process's place."""
    lines = []
    monkeypatch.setenv("HEARTH_HOME", str(tmp_path))
    monkeypatch.setattr(os, "execv", lambda program, words: lines.append(words))
    return lines


def test_it_listens_on_this_machine_alone(started):
    assert main(["ui", "--port", "0"]) == 0
    options = dict(zip(started[0][5::2], started[0][6::2], strict=True))
    assert options["--server.address"] == "127.0.0.1"
    assert int(options["--server.port"]) > 0
    assert options["--server.headless"] == "false"


def test_another_host_needs_a_word_of_its_own(started, capsys):
    assert main(["ui", "--host", "0.0.0.0"]) == 2
    assert "--expose" in capsys.readouterr().err
    assert main(["ui", "--host", "0.0.0.0", "--port", "0", "--expose", "--no-browser"]) == 0
    assert "0.0.0.0" in started[0]


def test_the_settings_say_where_if_nobody_else_does(started, monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("HEARTH_UI_PORT", str(port))
    monkeypatch.setenv("HEARTH_UI_MAX_UPLOAD_MB", "7")
    assert main(["ui"]) == 0
    options = dict(zip(started[0][5::2], started[0][6::2], strict=True))
    assert (options["--server.port"], options["--server.maxUploadSize"]) == (str(port), "7")


def test_a_port_in_use_is_named(started, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["ui", "--port", str(taken.getsockname()[1])]) == 2
    assert "Give another --port" in capsys.readouterr().err
    assert not started


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_a_port_that_is_none_is_refused(started, port):
    assert main(["ui", "--port", port]) == 2


def test_without_streamlit_it_says_how_to_get_it(started, monkeypatch, capsys):
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, find=importlib.util.find_spec: find(name) if name != "streamlit" else None,
    )
    assert main(["ui"]) == 2
    assert "hearth[ui]" in capsys.readouterr().err


def test_secrets_are_handed_on_by_their_file_and_not_by_their_words(started, tmp_path):
    file = tmp_path / "secrets.toml"
    file.touch(mode=0o600)
    file.write_text('[auth]\nclient_secret = "tell-nobody"\n')
    assert main(["ui", "--port", "0"]) == 0
    assert str(file) in started[0]
    assert "tell-nobody" not in " ".join(started[0])
    assert ui.APP.is_file()


def test_its_address_is_printed_for_machines(started, capsys):
    assert main(["ui", "--port", "0", "--json"]) == 0
    port = started[0][started[0].index("--server.port") + 1]
    assert json.loads(capsys.readouterr().out) == {"url": f"http://127.0.0.1:{port}"}
