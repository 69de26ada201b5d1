"""`hearth serve` with the real supervisor, around a program that stands in for vLLM and is healthy at once."""

import dataclasses
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

from decoder import alias, tiny
from decoder.server import ServeOptions
from ui.cli import checks, serve, wiring
from ui.cli.wiring import DecoderChoice

ROOT = Path(__file__).resolve().parents[2]
STAND_IN = """#!{python}
import json, os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

def argument(flag):
    return sys.argv[sys.argv.index(flag) + 1]

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        key = os.environ.get("VLLM_API_KEY")
        if key and self.path.startswith("/v1") and self.headers["Authorization"] != f"Bearer {{key}}":
            self.send_error(401)
            return
        body = json.dumps({{"data": [{{"id": argument("--served-model-name"), "owned_by": "vllm"}}]}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

ThreadingHTTPServer(("127.0.0.1", int(argument("--port"))), Handler).serve_forever()
"""


@pytest.fixture
def vllm(house, monkeypatch, hearth):
    """A folder with a model; whatever was started is stopped in the end."""
    program = house / "python"
    program.write_text(STAND_IN.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("HEARTH_SERVER_PYTHON", str(program))
    (house / "little").mkdir()
    (house / "little" / "config.json").write_text("{}")
    yield house / "little"
    for entry in hearth("serve", "--status", "--json").json["servers"]:
        hearth("serve", entry["name"], "--stop")


def test_the_options_are_those_of_the_server():
    parameters = inspect.signature(serve.serve).parameters
    fields = {f.name for f in dataclasses.fields(ServeOptions)}
    # A key on the command line could be read by every user of the machine; variables belong in the environment.
    assert fields - set(parameters) == {"api_key", "environment", "restart_delay", "stop_grace"}
    assert set(parameters) - fields == {"context", "model", "status", "stop", "detach", "json", "debug"}


def test_an_option_that_is_not_given_is_the_servers_default():
    defaults = {name: parameter.default for name, parameter in inspect.signature(serve.serve).parameters.items()}
    assert serve.options_from(defaults) == ServeOptions()


def test_start_look_use_and_stop(hearth, vllm):
    started = hearth("serve", vllm, "--detach", "--no-probe", "--json")
    assert started.code == 0, started.err
    assert started.json["name"] == "little"
    status = hearth("serve", "little", "--status")
    assert status.code == 0
    assert status.out.split("\t")[:3] == ["little", "healthy", started.json["base_url"]]
    assert checks.decoder()[0].detail == f"{started.json['base_url']} serves little"
    with wiring.find_decoder(DecoderChoice()) as decoder:
        assert (decoder.base_url, decoder.ready().model) == (started.json["base_url"], "little")
    again = hearth("serve", vllm, "--detach", "--no-probe")
    assert again.code == 2
    assert "runs already" in again.err
    assert hearth("serve", "--stop").out == "little is stopped.\n"
    assert hearth("serve", "--status").err == "No server is known. Start one: hearth serve MODEL\n"
    assert wiring.find_decoder(DecoderChoice()) is None


def test_the_model_that_comes_with_the_house_is_served_by_its_name(hearth, vllm, monkeypatch):
    monkeypatch.setattr(tiny, "path", lambda: vllm)
    (vllm / tiny.WEIGHTS).touch()
    started = hearth("serve", "hearth-tiny", "--name", "hearth-tiny", "--detach", "--no-probe", "--json")
    assert started.code == 0, started.err
    leader = hearth("serve", "--status", "--json").json["servers"][0]["pid"]
    command = Path(f"/proc/{leader}/cmdline").read_text().split("\0")
    assert command[command.index("--model") + 1] == str(vllm)
    assert f"serves {tiny.NAME}" in checks.decoder()[0].detail


def test_a_promoted_adapter_that_cannot_be_loaded_is_told_at_the_start(hearth, vllm):
    """One that can: tests/alignment/test_promotion.py."""
    alias.switch("little", "sft-mine-0123abcd", "")
    started = hearth("serve", vllm, "--detach", "--no-probe")
    assert started.code == 0
    assert "there is no artefact sft-mine-0123abcd" in started.err
    assert "requests which name no model fail" in started.err


def test_in_the_foreground_ctrl_c_stops_it(hearth, vllm):
    command = [sys.executable, "-m", "ui.cli", "serve", str(vllm), "--no-probe"]
    process = subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline().startswith("little is served at http://127.0.0.1:")
        process.send_signal(2)
        process.communicate(timeout=60)
        assert process.returncode == 130
    finally:
        process.kill()
        process.communicate(timeout=10)
    assert hearth("serve", "--status", "--json").json == {"servers": []}


def test_a_key_made_up_for_the_server_goes_with_its_address(hearth, vllm):
    url = hearth("serve", vllm, "--detach", "--no-probe", "--random-key", "--json").json["base_url"]
    with wiring.find_decoder(DecoderChoice(base_url=url)) as decoder:
        assert decoder.ready().model == "little"


def test_a_model_that_no_server_has_is_the_users_to_mend(hearth, vllm):
    hearth("serve", vllm, "--detach", "--no-probe")
    result = hearth("ask", "x", "--model", "other")
    assert result.code == 2
    assert "no server is known that serves other" in result.err


def test_a_server_that_dies_tells_why(hearth, vllm, house):
    (house / "python").write_text("#!/bin/sh\necho 'ValueError: no such architecture' >&2; exit 1\n")
    result = hearth("serve", vllm, "--detach", "--no-probe", "--max-restarts", "0")
    assert result.code == 1
    assert "hearth: " in result.err
    assert hearth("serve", "little", "--status").code == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no model was given"),
        (["--status", "--stop"], "do not go together"),
        (["nowhere/at/all"], "there is no folder"),
        (["x", "--host", "0.0.0.0"], "can be reached from other machines"),
        (["x", "--", "--trust-remote-code"], "trust_remote_code"),
        (["none", "--stop"], "there is no server none"),
        (["none", "--status"], "there is no server none"),
        (["--stop"], "no server runs"),
    ],
)
def test_what_cannot_be_done_as_asked(hearth, arguments, words):
    result = hearth("serve", *arguments)
    assert result.code == 2
    assert words in result.err
    assert result.err.count("\n") == 1
