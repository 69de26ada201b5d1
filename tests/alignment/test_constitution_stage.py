"""The stage: a recipe becomes two data sets that other stages read; killed, it goes on and re-asks nothing."""

import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("alignment.data", reason="the stage reads its prompts with alignment.data")

from alignment import constitution_stage
from alignment.data import load_data
from alignment.recipe import load_recipe, make_recipe
from alignment.sections import DataSection
from decoder.errors import CheckpointFailed, RecipeError, ServerFailed, Stopped
from decoder.scripted import ScriptedDecoder

ROOT = Path(__file__).resolve().parents[2]
SUPPORT = Path(__file__).with_name("constitution_support.py")
spec = importlib.util.spec_from_file_location("constitution_support", SUPPORT)
support = importlib.util.module_from_spec(spec)
spec.loader.exec_module(support)


@pytest.fixture
def recipe(tmp_path):
    """make(**constitution) -> a recipe of twelve prompts whose run is tmp_path/run."""

    def make(seed=0, rows=12, **constitution):
        prompts = tmp_path / "prompts.jsonl"
        prompts.write_text("".join(json.dumps({"prompt": f"What is number {n}?"}) + "\n" for n in range(rows)))
        values = {"stage": "constitution", "name": "c", "output": str(tmp_path / "run"), "seed": seed}
        return make_recipe({**values, "data": {"train": str(prompts)}, "constitution": constitution})

    return make


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_leaves_data_that_the_other_stages_read(recipe, tmp_path):
    folder = constitution_stage.run(recipe(rounds=2), decoder=ScriptedDecoder(support.answer))
    state = folder.state
    assert (state["status"], state["kind"], folder.model.exists()) == ("finished", "data", False)
    assert state["metrics"]["sft_rows"] == state["results"]["sft"]["rows"] == 12
    sft = load_data(DataSection(train=state["results"]["sft"]["path"]), "sft")
    assert len(sft.train) == 12 and sft.format == "messages"
    pairs = state["metrics"]["preference_rows"]
    assert 0 < pairs < 12
    assert pairs + sum(state["metrics"]["pairs_left_out"].values()) == 12
    for stage in ("dpo", "reward"):
        assert len(load_data(DataSection(train=str(folder.path / "preferences.jsonl")), stage).train) == pairs
    transcripts = lines(folder.path / "transcripts.jsonl")
    assert len({one["seed"] for one in transcripts}) == 12
    assert all(len(one["rounds"]) == 2 for one in transcripts)
    assert folder.metrics()[-1] == {"step": 12, "done": 12, "of": 12, "failed": 0}


def test_all_of_a_run_is_by_one_model_whatever_is_promoted_meanwhile(recipe):
    class Follows(ScriptedDecoder):
        """Follows promotions until it is pinned, as `ServedDecoder` does (tests/decoder/test_alias.py)."""

        pinned = False

        async def apinned(self):
            self.pinned = not self.requests
            return self

    decoder = Follows(support.answer)
    constitution_stage.run(recipe(), decoder=decoder)
    assert decoder.pinned


def test_the_same_seed_gives_the_same_files_and_another_other_principles(recipe, tmp_path):
    def principles(seed):
        import shutil

        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        folder = constitution_stage.run(recipe(seed), decoder=ScriptedDecoder(support.answer))
        return [one["rounds"][0]["principle"] for one in lines(folder.path / "transcripts.jsonl")]

    assert principles(1) == principles(1) != principles(2)


def test_what_failed_is_asked_again_and_nothing_else(recipe):
    down = {"now": True}

    def script(messages):
        if down["now"] and "number 3" in messages[-1].text:
            return ServerFailed("asking", "status 500")
        return support.answer(messages)

    first = ScriptedDecoder(script)
    folder = constitution_stage.run(recipe(), decoder=first)
    assert folder.state["metrics"]["failed"] == 1
    assert "status 500" in lines(folder.path / "transcripts.jsonl")[3]["error"]
    down["now"] = False
    again = ScriptedDecoder(script)
    folder = constitution_stage.run(recipe(), resume=True, decoder=again)
    assert folder.state["metrics"]["failed"] == 0 and folder.state["metrics"]["sft_rows"] == 12
    assert all("number 3" in request.messages[-1].text for request in again.requests)
    nothing = ScriptedDecoder([])
    constitution_stage.run(recipe(), resume=True, decoder=nothing)
    assert nothing.requests == []


def start(file, log, delay, *more):
    command = [sys.executable, SUPPORT, file, log, str(delay), *more]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def write_recipe(recipe, tmp_path):
    import yaml

    from alignment.recipe import as_plain

    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(as_plain(recipe)))
    return file


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_any_moment_it_goes_on_and_asks_nothing_twice_that_was_answered(recipe, tmp_path, seed):
    file, log = write_recipe(recipe(concurrency=3), tmp_path), tmp_path / "log"
    child = start(file, log, 0.02)
    deadline = time.monotonic() + 60
    while not (log.exists() and log.read_text().count("\n") > 5):
        assert time.monotonic() < deadline and child.poll() is None, child.stderr.read()
        time.sleep(0.01)
    time.sleep(random.Random(seed).uniform(0, 0.2))
    os.kill(child.pid, signal.SIGKILL)
    child.communicate(timeout=30)
    asked = tmp_path / "run" / "asked.jsonl"
    with asked.open("ab") as out:
        out.write(b'{"key": "torn')  # what a kill in the middle of a line leaves
    answered = {line["key"] for line in map(json.loads, asked.read_bytes().splitlines()[1:-1])}
    assert answered
    log.unlink()
    child = start(file, log, 0, "--resume")
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 0, errors
    assert not answered & set(log.read_text().split())
    whole = constitution_stage.run(
        make_recipe({**_plain(recipe(concurrency=3)), "output": str(tmp_path / "other")}),
        decoder=ScriptedDecoder(support.answer),
    )
    for name in ("sft.jsonl", "preferences.jsonl", "transcripts.jsonl"):
        assert (whole.path / name).read_bytes() == (tmp_path / "run" / name).read_bytes()


def _plain(recipe):
    from alignment.recipe import as_plain

    return as_plain(recipe)


def test_a_signal_ends_the_run_as_stopped(recipe, tmp_path):
    file, log = write_recipe(recipe(), tmp_path), tmp_path / "log"
    child = start(file, log, 0.05)
    deadline = time.monotonic() + 60
    while not (log.exists() and log.read_text().count("\n") > 3):
        assert time.monotonic() < deadline and child.poll() is None, child.stderr.read()
        time.sleep(0.01)
    child.send_signal(signal.SIGTERM)
    _, errors = child.communicate(timeout=30)
    assert Stopped.__name__ in errors.decode()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "stopped"


def test_another_model_does_not_go_on_with_a_run(recipe):
    constitution_stage.run(recipe(), decoder=ScriptedDecoder(support.answer, model="one"))
    with pytest.raises(RecipeError, match="begun with the model one, not two"):
        constitution_stage.run(recipe(), resume=True, decoder=ScriptedDecoder(support.answer, model="two"))


def test_a_decoder_that_is_gone_is_a_failed_run_that_can_be_gone_on_with(recipe):
    gone = ScriptedDecoder(lambda messages: ServerFailed("asking", "nobody is there"))
    with pytest.raises(ServerFailed):
        constitution_stage.run(recipe(rows=60), decoder=gone)
    from alignment.run_folder import open_run

    assert open_run(recipe(rows=60), resume=True).state["error"] == "asking: nobody is there"
    folder = constitution_stage.run(recipe(rows=60), resume=True, decoder=ScriptedDecoder(support.answer))
    assert folder.state["metrics"]["sft_rows"] == 60


def test_a_disk_that_refuses_is_a_typed_error(recipe, tmp_path):
    def script(messages):
        asked = tmp_path / "run" / "asked.jsonl"
        if asked.exists() and not asked.is_dir():
            asked.unlink()
            asked.mkdir()  # the next answer cannot be written, as on a disk that is full
        return support.answer(messages)

    with pytest.raises(CheckpointFailed, match="go on with --resume"):
        constitution_stage.run(recipe(), decoder=ScriptedDecoder(script))


@pytest.mark.parametrize(
    ("constitution", "said"),
    [
        ({"rounds": 0}, "constitution.rounds is 0"),
        ({"concurrency": -1}, "constitution.concurrency is -1"),
        ({"temperature": 3.0}, "constitution.temperature is 3.0"),
        ({"principles": "none.yaml"}, "cannot be read"),
        ({"embedded": "x", "base_url": "http://127.0.0.1:9/v1"}, "both given"),
        ({}, "no decoder is set"),
        ({"pair_with": "nothing"}, "constitution.pair_with is 'nothing'"),
    ],
)
def test_a_recipe_that_cannot_be_used(recipe, monkeypatch, constitution, said):
    monkeypatch.delenv("HEARTH_DECODER_BASE_URL", raising=False)
    with pytest.raises(RecipeError, match=said):
        constitution_stage.run(recipe(**constitution))


def test_a_server_named_in_the_recipe_gets_no_other_servers_key(recipe, monkeypatch):
    monkeypatch.setenv("HEARTH_DECODER_BASE_URL", "http://127.0.0.1:8000/v1")
    monkeypatch.setenv("HEARTH_DECODER_API_KEY", "secret")
    for url, key in (("http://127.0.0.1:8000/v1", True), ("http://127.0.0.1:9/v1", False), ("", True)):
        decoder = constitution_stage._decoder(recipe(base_url=url).constitution)
        assert ("Authorization" in decoder._transport._endpoint.headers) == key
        decoder.close()


@pytest.mark.parametrize("name", ["constitution-small", "constitution-8b"])
def test_the_recipes_that_ship(name):
    loaded = load_recipe(name)
    assert loaded.stage == "constitution"
    assert constitution_stage._way(loaded).principles


@pytest.mark.parametrize("model", ["tiny_llama", "hearth_tiny"])
def test_a_model_in_process_runs_the_stage(recipe, model, request):
    found = request.getfixturevalue(model)
    embedded = "hearth-tiny" if model == "hearth_tiny" else str(found)
    folder = constitution_stage.run(recipe(rows=2, embedded=embedded, max_tokens=8))
    metrics = folder.state["metrics"]
    assert metrics["failed"] == 0
    assert metrics["sft_rows"] + sum(metrics["sft_left_out"].values()) == 2
    assert metrics["preference_rows"] + sum(metrics["pairs_left_out"].values()) == 2
