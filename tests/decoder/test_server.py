"""Starting, watching and stopping the server's process, with a small stand-in where vLLM would be."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from decoder import server_state
from decoder.client import ServedDecoder
from decoder.errors import ConnectFailed, ConstraintIgnored, ServiceError, SettingsError, UnknownModel, UsageError
from decoder.server import attach, serve, servers, status, stop
from decoder.server_errors import (
    AdapterFailed,
    AdapterUnusable,
    NoSuchServer,
    ServerExists,
    ServerStartFailed,
    VllmMissing,
)
from decoder.server_http import model_names, request
from decoder.server_options import ServeOptions, command, default_name, environment, find_python
from decoder.server_state import Process, ServerState
from decoder.supervisor import start_failure

# The stand-in understands vLLM's arguments as far as they matter here. What it does wrong is told by FAKE.
FAKE = r"""
import json, os, re, signal, subprocess, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

argv = sys.argv[1:]
value = lambda flag: argv[argv.index(flag) + 1]
folder, fault = os.environ["FAKE_FOLDER"], os.environ.get("FAKE", "")
with open(folder + "/starts", "a") as file:
    seen = {"argv": argv, "cwd": os.getcwd(), "environment": dict(os.environ), "pid": os.getpid()}
    file.write(json.dumps(seen) + "\n")
lives = len(open(folder + "/starts").readlines())
if fault == "dies at once" or (fault == "dies on restart" and lives > 1):
    print("Traceback (most recent call last):\n  somewhere", file=sys.stderr)
    print("ValueError: the weights are made of paper", file=sys.stderr)
    sys.exit(3)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open(folder + "/child", "w").write(str(child.pid))
if fault == "ignores SIGTERM":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("INFO loading", value("--model"), flush=True)
adapters = {}
if "--lora-modules" in argv:
    adapters = dict(pair.split("=", 1) for pair in argv[argv.index("--lora-modules") + 1:] if "=" in pair)

class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def answer(self, status, data):
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        key = os.environ.get("VLLM_API_KEY")
        if self.path.startswith("/v1") and key and self.headers["Authorization"] != "Bearer " + key:
            return self.answer(401, {"error": "Unauthorized"})
        if fault == "never healthy":
            return self.answer(503, {})
        names = [value("--served-model-name"), *adapters]
        self.answer(200, {"data": [{"id": name, "owned_by": "vllm"} for name in names]})
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/load_lora_adapter":
            if "--enable-lora" not in argv:
                return self.answer(404, {"detail": "Not Found"})
            adapters[body["lora_name"]] = body["lora_path"]
            return self.answer(200, {})
        if self.path == "/v1/unload_lora_adapter":
            gone = adapters.pop(body["lora_name"], None)
            return self.answer(200 if gone else 404, {"error": {"message": "The lora adapter cannot be found."}})
        asked = body.get("structured_outputs", {})
        text = "Hello, I would rather talk freely."
        if asked and fault != "ignores constraints" and fault != "ignores " + next(iter(asked)):
            text = '{"hearth":"ember-7351-kiln"}' if "json" in asked else "ember-7351-kiln"
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        self.answer(200, {"id": "1", "object": "chat.completion", "model": body["model"], "choices": [choice],
                          "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}})

ThreadingHTTPServer((value("--host"), int(value("--port"))), Handler).serve_forever()
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HEARTH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "home"
    for entry in servers():
        stop(entry.name)


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "my model"
    folder.mkdir()
    return str(folder)


@pytest.fixture
def fake(home, tmp_path, monkeypatch):
    """An interpreter that runs the stand-in whatever module it is told to run. Call it to choose its fault."""
    (tmp_path / "fake.py").write_text(FAKE)
    interpreter = tmp_path / "python"
    interpreter.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P "{tmp_path}/fake.py" "$@"\n')
    interpreter.chmod(0o755)
    monkeypatch.setenv("HEARTH_SERVER_PYTHON", str(interpreter))
    monkeypatch.setenv("FAKE_FOLDER", str(tmp_path))

    def choose(fault):
        monkeypatch.setenv("FAKE", fault)

    return choose


def options(**changes):
    return ServeOptions(**{"start_timeout": 30, "restart_delay": 0.05, "probe": False, **changes})


def starts(home):
    return [json.loads(line) for line in (home.parent / "starts").read_text().splitlines()]


def runs(pid):
    return bool(server_state.start_time(pid))


def eventually(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


# Arguments and environment


def test_the_module_path_is_safe_and_the_flags_are_those_of_the_options():
    chosen = ServeOptions(
        tensor_parallel_size=2,
        pipeline_parallel_size=3,
        data_parallel_size=4,
        distributed_executor_backend="ray",
        max_model_len=2048,
        gpu_memory_utilization=0.8,
        quantization="fp8",
        lora=True,
        max_loras=2,
        max_lora_rank=32,
        tool_call_parser="hermes",
        reasoning_parser="qwen3",
        extra=("--max-num-seqs", "8"),
    )
    words = command(Path("/env/bin/python"), "organisation/model", "model", 8000, chosen, {"a": "/adapters/a"})
    assert words[:4] == ["/env/bin/python", "-P", "-m", "vllm.entrypoints.openai.api_server"]
    line = " ".join(words)
    for expected in (
        "--model organisation/model --served-model-name model --host 127.0.0.1 --port 8000",
        "--tensor-parallel-size 2 --pipeline-parallel-size 3 --data-parallel-size 4",
        "--distributed-executor-backend ray",
        "--max-model-len 2048",
        "--gpu-memory-utilization 0.8",
        "--quantization fp8",
        "--enable-lora --max-loras 2 --max-lora-rank 32 --lora-modules a=/adapters/a",
        "--tool-call-parser hermes",
        "--enable-auto-tool-choice",
        "--reasoning-parser qwen3",
        "--load-format safetensors",
        "--enable-prompt-tokens-details",
    ):
        assert expected in line
    assert words[-2:] == ["--max-num-seqs", "8"]


def test_the_server_inherits_neither_python_paths_nor_secrets(monkeypatch, tmp_path):
    for variable in ("PYTHONPATH", "HEARTH_DECODER_API_KEY", "OPENAI_API_KEY", "HTTP_PROXY"):
        monkeypatch.setenv(variable, "x")
    made = environment("organisation/model", options(environment=(("OMP_NUM_THREADS", "2"),)), "secret")
    assert made["VLLM_API_KEY"] == "secret"
    assert made["OMP_NUM_THREADS"] == "2"
    assert made["HTTP_PROXY"] == "x"
    assert made.keys().isdisjoint({"PYTHONPATH", "HEARTH_DECODER_API_KEY", "OPENAI_API_KEY"})
    assert made["VLLM_CPU_KVCACHE_SPACE"] == "4"


def test_a_local_model_is_served_offline_and_adapters_must_be_asked_for(monkeypatch, tmp_path):
    for variable in ("HF_HUB_OFFLINE", "VLLM_ALLOW_RUNTIME_LORA_UPDATING"):
        monkeypatch.delenv(variable, raising=False)
    assert "HF_HUB_OFFLINE" not in environment("organisation/model", options(), "")
    assert environment(str(tmp_path), options(), "")["HF_HUB_OFFLINE"] == "1"
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" not in environment(str(tmp_path), options(), "")
    assert environment(str(tmp_path), options(lora=True), "")["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "1"


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "0.0.0.0"},
        {"tensor_parallel_size": 0},
        {"load_format": "pt"},
        {"load_format": "auto"},
        {"extra": ("--trust-remote-code",)},
        {"extra": ("--trust_remote_code=true",)},
        {"extra": ("--trust-rem",)},
        {"extra": ("--port", "1")},
        {"extra": ("--api-key=x",)},
    ],
)
def test_options_that_are_unsafe_or_break_the_rest_are_refused(changes):
    with pytest.raises(UsageError):
        options(**changes)


def test_a_host_that_others_can_reach_has_to_be_asked_for():
    assert options(host="0.0.0.0", expose=True).host == "0.0.0.0"


def test_options_survive_the_state_file_and_the_key_is_not_among_them():
    chosen = options(name="a", lora=True, environment=(("A", "b"),), extra=("--seed", "1"), api_key="secret")
    data = json.loads(json.dumps(chosen.to_json()))
    assert "secret" not in json.dumps(data)
    assert ServeOptions.from_json(data) == options(
        name="a", lora=True, environment=(("A", "b"),), extra=("--seed", "1")
    )


@pytest.mark.parametrize(
    ("given", "name"),
    [("organisation/Model-7B", "Model-7B"), ("a b/c d", "c-d"), ("organisation/..", "model")],
)
def test_a_server_is_called_after_its_model(given, name):
    assert default_name(given) == name


@pytest.mark.parametrize("name", ["../x", "", ".hidden", "a/b", "a b", "x" * 101])
def test_names_that_are_no_file_names_are_refused(home, name):
    with pytest.raises(UsageError):
        stop(name)


def test_without_an_environment_the_error_says_how_to_make_one(home, monkeypatch):
    monkeypatch.setenv("HEARTH_SERVER_PYTHON", "/nowhere/python")
    with pytest.raises(VllmMissing, match="HEARTH_SERVER_PYTHON"):
        find_python()


def test_the_environment_is_looked_for_in_the_data_folder_too(home, monkeypatch):
    monkeypatch.delenv("HEARTH_SERVER_PYTHON", raising=False)
    if (Path(server_state.__file__).parents[1] / ".venv-vllm").exists():
        pytest.skip("the repository's own environment comes first")
    with pytest.raises(VllmMissing, match="make vllm"):
        find_python()
    interpreter = home / ".venv-vllm" / "bin" / "python"
    interpreter.parent.mkdir(parents=True)
    interpreter.symlink_to(sys.executable)
    assert find_python() == interpreter


# Starting and stopping


def test_a_server_starts_answers_and_stops_with_its_whole_group(home, fake, model):
    seen = []
    with serve(model, options(), seen.append) as server:
        assert server.name == server.model == "my-model"
        assert model_names(server.base_url) == ["my-model"]
        assert server.status().condition == "healthy"
        (start,) = starts(home)
        child = int((home.parent / "child").read_text())
        assert runs(start["pid"])
        assert runs(child)
    assert seen
    assert seen[0].phase == "starting"
    assert not runs(start["pid"])
    assert not runs(child)
    assert servers() == []
    assert not (home / "servers" / "my-model.json").exists()


def test_the_process_gets_the_safe_path_another_folder_and_no_python_path(home, fake, model, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    with serve(model, options()):
        (start,) = starts(home)
    assert start["argv"][:3] == ["-P", "-m", "vllm.entrypoints.openai.api_server"]
    assert Path(start["cwd"]) == home / "servers"
    assert "PYTHONPATH" not in start["environment"]


def test_a_process_that_ignores_sigterm_is_killed(home, fake, model):
    fake("ignores SIGTERM")
    server = serve(model, options(stop_grace=0.5))
    (start,) = starts(home)
    server.stop()
    assert not runs(start["pid"])


def test_a_start_that_fails_says_what_the_log_says_and_leaves_nothing(home, fake, model):
    fake("dies at once")
    with pytest.raises(ServerStartFailed, match="ended with status 3: ValueError: the weights are made of paper"):
        serve(model, options())
    assert len(starts(home)) == 1
    found = status("my-model")
    assert found.condition == "failed"
    assert "made of paper" in found.error
    assert found.pid == 0


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (
            "(Worker pid=7) ERROR 11-23 11:53:01 [executor.py:953]     raise RuntimeError(\n"
            "(Worker pid=7) ERROR 11-23 11:53:01 [executor.py:953] RuntimeError: Cannot find any model weights\n"
            "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}\n",
            "RuntimeError: Cannot find any model weights",
        ),
        (
            "pydantic_core.ValidationError: 1 validation error for ModelConfig\n"
            "  Value error, max_model_len is greater.\n"
            "    For further information visit https://errors.pydantic.dev/v/value_error\n",
            "Value error, max_model_len is greater",
        ),
        (
            "usage: api_server.py [-h]\napi_server.py: error: unrecognized arguments: --x\n",
            "api_server.py: error: unrecognized arguments: --x",
        ),
    ],
)
def test_the_line_of_the_log_that_names_the_error_is_shown(tmp_path, log, said):
    (tmp_path / "log").write_text(log)
    assert start_failure("the process ended", tmp_path / "log")[1] == f"the process ended: {said}"


def test_a_start_that_takes_too_long_is_given_up_and_stopped(home, fake, model):
    fake("never healthy")
    began = time.monotonic()
    with pytest.raises(ServerStartFailed, match=r"not healthy within 1\.5 s"):
        serve(model, options(start_timeout=1.5))
    assert time.monotonic() - began < 10
    assert not runs(starts(home)[0]["pid"])


def test_a_taken_port_is_refused_at_once(home, fake, model):
    with serve(model, options()) as server, pytest.raises(UsageError, match=str(server.port)):
        serve(model, options(name="other", port=server.port))


def test_a_second_start_of_the_same_name_is_refused(home, fake, model):
    with serve(model, options()), pytest.raises(ServerExists, match="runs already"):
        serve(model, options())


def test_a_folder_that_is_not_there_is_not_looked_for_on_a_hub(home, fake):
    with pytest.raises(UsageError, match="there is no folder"):
        serve("./no-model", options())


def test_a_timeout_that_is_no_number_is_a_settings_error(home, fake, model, monkeypatch):
    monkeypatch.setenv("HEARTH_SERVER_START_TIMEOUT", "-1")
    with pytest.raises(SettingsError):
        serve(model, ServeOptions(probe=False))
    assert servers() == []


def test_a_random_key_is_asked_for_and_kept_from_other_users(home, fake, model):
    with serve(model, options(random_key=True)) as server:
        assert len(server.api_key) >= 32
        assert request(server.base_url, "/v1/models")[0] == 401
        assert server.api_key not in " ".join(starts(home)[0]["argv"])
        assert (home / "servers" / "my-model.json").stat().st_mode & 0o077 == 0
        assert attach("my-model").api_key == server.api_key
        assert server.api_key not in repr(server)


# Constraints


def test_the_probe_passes_where_constraints_are_enforced(home, fake, model):
    with serve(model, options(probe=True)) as server, ServedDecoder(server.base_url) as decoder:
        assert decoder.complete("Hello").text


@pytest.mark.parametrize("fault", ["ignores constraints", "ignores structural_tag"])
def test_a_server_that_ignores_constraints_is_no_started_server(home, fake, model, fault):
    fake(fault)
    with pytest.raises(ConstraintIgnored, match="talk freely"):
        serve(model, options(probe=True))
    assert status("my-model").condition == "failed"
    assert not runs(starts(home)[0]["pid"])


# Death and restart


def test_a_server_that_dies_is_started_again_on_the_same_port(home, fake, model):
    with serve(model, options()) as server:
        child = int((home.parent / "child").read_text())
        os.kill(starts(home)[0]["pid"], signal.SIGKILL)
        assert eventually(lambda: server.status().restarts == 1 and server.status().condition == "healthy")
        assert model_names(server.base_url) == ["my-model"]
        assert not runs(child), "what the dead process left behind is ended before the next one starts"
        assert "SIGKILL" not in server.status().error


def test_restarts_are_bounded(home, fake, model):
    fake("dies on restart")
    server = serve(model, options(max_restarts=2))
    os.kill(starts(home)[0]["pid"], signal.SIGKILL)
    with pytest.raises(ServerStartFailed, match="made of paper"):
        server.wait(timeout=30)
    assert len(starts(home)) == 3
    server.stop()


def test_waiting_in_the_foreground_ends_when_the_server_is_stopped(home, fake, model):
    server = serve(model, options())
    assert not server.wait(timeout=0.3)
    stop(server.name)
    assert server.wait(timeout=5)
    server.stop()


# Detached, attached, orphaned


START = "import sys; from decoder.server import serve, ServeOptions; serve(sys.argv[1], ServeOptions(probe=False){})"


def run_start(model, more="", then=""):
    root = Path(server_state.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.Popen(
        [sys.executable, "-c", START.format(more) + then, model],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_detached_server_outlives_who_started_it_and_can_be_attached_to(home, fake, model):
    with run_start(model, ", detach=True") as starter:
        assert starter.wait(timeout=60) == 0
    server = attach()
    assert server.status().condition == "healthy"
    assert model_names(server.base_url) == ["my-model"]
    server.stop()
    assert not runs(starts(home)[0]["pid"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_server_in_the_foreground_ends_with_who_started_it_however_that_ends(home, fake, model, number):
    with run_start(model, then="; print('up', flush=True); import time; time.sleep(60)") as starter:
        assert starter.stdout.readline() == "up\n"
        starter.send_signal(number)
        starter.wait(timeout=10)
    assert eventually(lambda: not runs(starts(home)[0]["pid"]))
    assert eventually(lambda: servers() == [])


def test_a_server_whose_supervisor_was_killed_is_told_and_can_still_be_stopped(home, fake, model):
    server = serve(model, options())
    os.kill(server_state.read("my-model").supervisor.pid, signal.SIGKILL)
    assert eventually(lambda: server.status().condition == "unsupervised")
    with pytest.raises(ServerExists):
        serve(model, options())
    server.stop()
    assert not runs(starts(home)[0]["pid"])


def test_workers_without_their_leader_are_found_and_ended(home, fake, model):
    server = serve(model, options())
    state = server_state.read("my-model")
    child = int((home.parent / "child").read_text())
    os.kill(state.supervisor.pid, signal.SIGKILL)
    os.kill(state.server.pid, signal.SIGKILL)
    assert eventually(lambda: not runs(state.server.pid))
    assert runs(child)
    server.stop()
    assert not runs(child)


def test_a_group_of_zombies_does_not_count_as_running(home):
    with subprocess.Popen([sys.executable, "-c", ""], start_new_session=True) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        os.killpg(ended.pid, 0)  # the group is there, with nothing in it that could run
        assert not server_state.group_exists(Process(ended.pid, "boot:1"))


def test_what_a_crash_left_behind_is_stale_and_gives_way_to_a_new_start(home, fake, model):
    gone = ServerState(
        name="my-model",
        model=model,
        host="127.0.0.1",
        port=1,
        log=str(home / "log"),
        started_at=0.0,
        phase="healthy",
        supervisor=Process(2**22 + 1, "boot:1"),
        server=Process(2**22 + 2, "boot:1"),
    )
    server_state.write(gone)
    assert status("my-model").condition == "stale"
    with pytest.raises(NoSuchServer):
        attach("my-model")
    with serve(model, options()) as server:
        assert server.status().condition == "healthy"


def test_a_process_that_got_a_dead_servers_id_is_never_touched(home):
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True) as stranger:
        state = ServerState(
            name="a",
            model="m",
            host="127.0.0.1",
            port=1,
            log="",
            started_at=0.0,
            phase="healthy",
            supervisor=Process(stranger.pid, "boot:1"),
            server=Process(stranger.pid, "boot:1"),
        )
        server_state.write(state)
        assert status("a").condition == "stale"
        stop("a")
        assert stranger.poll() is None
        stranger.kill()


def test_a_damaged_state_file_is_an_error_with_a_remedy(home):
    path = server_state.state_file("a")
    for content in ("{", "[]", '{"name": "a"}', "null"):
        path.write_text(content)
        with pytest.raises(ServiceError, match="is damaged"):
            status("a")
    path.unlink()


def test_nothing_is_attached_to_or_stopped_where_nothing_runs(home):
    with pytest.raises(NoSuchServer):
        attach()
    with pytest.raises(NoSuchServer):
        attach("a")
    with pytest.raises(NoSuchServer):
        stop("a")
    with pytest.raises(NoSuchServer):
        status("a")


def test_attaching_without_a_name_wants_a_choice_among_several(home, fake, model):
    with serve(model, options(name="one")), serve(model, options(name="two")):
        with pytest.raises(NoSuchServer, match="several run: one, two"):
            attach()
        assert attach("two").name == "two"


def test_a_server_that_is_gone_is_a_failed_connection(home):
    with pytest.raises(ConnectFailed):
        request("http://127.0.0.1:9/v1", "/health")


# Adapters


def write_adapter(folder, weights=b"{}"):
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(len(weights).to_bytes(8, "little") + weights)
    return folder


def test_adapters_are_loaded_from_a_folder_of_their_content_and_unloaded(home, fake, model, tmp_path):
    folder = write_adapter(tmp_path / "lora")
    with serve(model, options(lora=True)) as server:
        first = server.load_adapter("helpful", folder)
        assert model_names(server.base_url) == ["my-model", "helpful"]
        server.unload_adapter("helpful")
        assert model_names(server.base_url) == ["my-model"]
        again = server.load_adapter("helpful", folder)
        server.unload_adapter("helpful")
        changed = server.load_adapter("helpful", write_adapter(folder, b'{"a": 1}'))
        assert first == again != changed, "other weights must not be served from the first ones' cache"
        with pytest.raises(UnknownModel):
            server.unload_adapter("nobody")


def test_adapters_are_loaded_again_after_a_restart(home, fake, model, tmp_path):
    with serve(model, options(lora=True)) as server:
        server.load_adapter("helpful", write_adapter(tmp_path / "lora"))
        server.load_adapter("harmless", write_adapter(tmp_path / "lora"))
        server.unload_adapter("harmless")
        os.kill(server.status().pid, signal.SIGKILL)
        assert eventually(lambda: server.status().restarts == 1 and server.status().condition == "healthy")
        assert server.status().models == ("my-model", "helpful")


def test_a_server_that_takes_no_adapters_says_how_it_would(home, fake, model, tmp_path):
    with serve(model, options()) as server, pytest.raises(AdapterFailed, match="--lora"):
        server.load_adapter("helpful", write_adapter(tmp_path / "lora"))


def test_only_whole_adapters_in_safetensors_are_loaded(home, fake, model, tmp_path):
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "adapter_config.json").write_text("{}")
    (pickled / "adapter_model.bin").write_bytes(b"")
    damaged = write_adapter(tmp_path / "damaged", b"no JSON")
    with serve(model, options(lora=True)) as server:
        with pytest.raises(AdapterUnusable, match="is a pickle"):
            server.load_adapter("a", pickled)
        with pytest.raises(AdapterUnusable, match="is damaged"):
            server.load_adapter("a", damaged)
        with pytest.raises(AdapterUnusable, match=r"has no adapter_config\.json"):
            server.load_adapter("a", tmp_path)
        with pytest.raises(UsageError):
            server.load_adapter("../a", write_adapter(tmp_path / "lora"))
