"""`hearth align` as a user types it: real stages on a tiny model; where a stage is a stand-in, the test says so."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from alignment.run_folder import open_run
from decoder.errors import Stopped
from decoder.runs.folder import RunFolder
from ui.cli import align_watch
from ui.cli.align_watch import Progress, signals_seen

pytest.importorskip("trl", reason="stages are TRL's")
# peft asks transformers for the checkpointing flag by a name that it has given up.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")

ROOT = Path(__file__).resolve().parents[2]
ESCAPE = "\x1b[2J\x1b]0;owned\x07"


@pytest.fixture
def recipe(house, tiny_llama):
    """recipe(stage="sft", **sections) -> a recipe's file, with six rows of its own, one of them hostile."""
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"How many is {n}?{ESCAPE}"},
                {"role": "assistant", "content": "So!"},
            ]
        }
        for n in range(6)
    ]
    (house / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def make(stage="sft", **more):
        values = {
            "stage": stage,
            "name": "mine",
            "output": "run",
            "model": {"path": str(tiny_llama)},
            "data": {"train": "rows.jsonl"},
            "lora": {"r": 2, "target_modules": ["q_proj"]},
            "training": {"max_steps": 2, "per_device_train_batch_size": 2, "logging_steps": 1, "save_strategy": "no"},
            "register": False,
        }
        (house / "recipe.yaml").write_text(json.dumps({**values, **more}))  # JSON is YAML
        return "recipe.yaml"

    return make


# Training


def test_a_stage_trains_and_says_where_all_is_and_what_is_next(hearth, house, recipe):
    result = hearth("align", "sft", "--config", recipe())
    assert result.code == 0, result.err
    lines = dict(line.split("\t") for line in result.out.splitlines()[1:])
    assert result.out.startswith("mine is trained\n")
    assert Path(lines["model"]).joinpath("adapter_model.safetensors").exists()
    assert float(lines["train_loss"]) > 0
    assert "next: hearth models register run" in result.err
    assert "{'loss'" not in result.err
    assert RunFolder(house / "run").state["max_steps"] == 2


def test_of_a_registered_result_the_next_command_names_it(hearth, house, recipe):
    result = hearth("align", "sft", "--config", recipe(register=True), "--set", "training.max_steps=1")
    artefact = RunFolder(house / "run").state["artefact"]
    assert f"next: hearth models show {artefact}" in result.err and artefact.startswith("mine-")


def test_a_command_to_go_on_with_can_be_typed_as_it_stands(hearth, house, recipe, monkeypatch):
    def stopped(asked, resume=False):  # a stage that a signal ends, in place of a real one
        raise Stopped("training", "a signal ended it", "Add --resume")

    monkeypatch.setattr("alignment.stages.train", stopped)
    (house / recipe()).rename(house / "my recipe.yaml")
    assert (
        "hearth align sft --config 'my recipe.yaml' --resume"
        in hearth("align", "sft", "--config", "my recipe.yaml").err
    )


def test_what_a_stage_prints_goes_aside_but_for_figures_that_are_shown_already(capsys):
    aside = align_watch.Aside()
    print("scoring\x1b[2J 12 answers\n{'loss': '1.5', 'epoch': '1'}\nhalf", end="", file=aside)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "scoring 12 answers\n")


def test_with_json_the_same_is_one_object(hearth, recipe):
    result = hearth("align", "sft", "--config", recipe(), "--set", "training.max_steps=1", "--json")
    assert result.code == 0, result.err
    assert (result.json["status"], result.json["model"]) == ("finished", "run/model")
    assert result.json["metrics"]["train_loss"] > 0
    assert result.json["next"] == "hearth models register run"


def test_a_second_run_into_the_same_folder_is_refused(hearth, recipe):
    assert hearth("align", "sft", "--config", recipe()).code == 0
    result = hearth("align", "sft", "--config", recipe())
    assert result.code == 2
    assert "already holds a run. Add --resume" in result.err


def test_ctrl_c_leaves_a_checkpoint_and_says_how_to_go_on(house, recipe):
    command = [sys.executable, "-m", "ui.cli", "align", "sft", "--config", recipe(), "--set", "training.max_steps=5000"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    run = subprocess.Popen(command, cwd=house, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 120
        while not RunFolder(house / "run").metrics() and time.monotonic() < deadline:
            assert run.poll() is None, run.stderr.read()
            time.sleep(0.1)
        run.send_signal(signal.SIGINT)
        _, err = run.communicate(timeout=60)
    finally:
        run.kill()
    assert run.returncode == 130, err
    assert "Go on with: hearth align sft --config recipe.yaml --set training.max_steps=5000 --resume" in err
    assert RunFolder(house / "run").checkpoints()
    assert RunFolder(house / "run").state["status"] == "stopped"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 1), (signal.SIGINT, 130)])
def test_the_exit_code_tells_ctrl_c_from_other_signals(hearth, recipe, monkeypatch, number, code):
    def stopped(asked, resume=False):  # a stage that a signal ends, in place of a real one
        folder = open_run(asked, resume)
        before = signal.signal(number, lambda *_: None)
        os.kill(os.getpid(), number)
        signal.signal(number, before)
        folder.note(status="stopped")
        raise Stopped("training", "a signal ended it after step 3; its checkpoint is whole", "Add --resume")

    monkeypatch.setattr("alignment.sft.run", stopped)
    result = hearth("align", "sft", "--config", recipe())
    assert result.code == code
    assert result.err.endswith("Go on with: hearth align sft --config recipe.yaml --resume\n")


# What is refused


def test_a_recipe_of_another_stage_is_refused_with_the_right_command(hearth, recipe):
    result = hearth("align", "dpo", "--config", recipe())
    assert result.code == 2
    assert "is a recipe of the stage sft. Run: hearth align sft --config recipe.yaml" in result.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("stf", "--config", "recipe.yaml"), "'sft'"),
        (("sft",), "--config"),
        (("sft", "--config", "sft-smal"), "Did you mean sft-small?"),
        (("sft", "--config", "recipe.yaml", "--set", "training.learningrate=1"), "Did you mean learning_rate?"),
        (("sft", "--config", "recipe.yaml", "--set", "training"), "no key=value"),
        (("sft", "--config", "recipe.yaml", "--no-measure"), "without --dry-run"),
        (("sft", "--config", "recipe.yaml", "--preview-html", "x.html"), "without --dry-run"),
        (("sft", "--config", "recipe.yaml", "--set", "data.train=none.jsonl"), "none.jsonl"),
        (("sft", "--config", "recipe.yaml", "--set", "model.path=./none"), "there is no model './none'"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_2(hearth, house, recipe, arguments, words):
    recipe()
    result = hearth("align", *arguments)
    assert result.code == 2
    assert words in result.err
    assert result.err.count("\n") == 1
    assert not (house / "run").exists()


def test_bad_rows_are_skipped_when_asked(hearth, house, recipe):
    recipe()
    with (house / "rows.jsonl").open("a") as out:
        out.write('{"messages": []}\n')
    assert hearth("align", "sft", "--config", "recipe.yaml", "--dry-run", "--no-measure").code == 2
    result = hearth("align", "sft", "--config", "recipe.yaml", "--dry-run", "--no-measure", "--skip-bad")
    assert result.code == 0, result.err
    assert "1 cannot be used" in result.out


# The dry run


def test_a_dry_run_shows_facts_and_mask_and_writes_nothing(hearth, house, recipe):
    known = sorted(path.name for path in house.iterdir())
    result = hearth("align", "sft", "--config", recipe(), "--dry-run")
    assert result.code == 0, result.err
    assert sorted(path.name for path in house.iterdir()) == sorted([*known, "recipe.yaml"])
    for words in ("6 to train on", "steps       2", "memory      about", "time        about", "⟦So!<|end|>⟧"):
        assert words in result.out
    assert "How many is 0?␛[2J␛]0;owned␇" in result.out
    assert not [c for c in result.out if ord(c) < 32 and c not in "\n\t"]


def test_a_dry_run_as_json(hearth, recipe):
    result = hearth("align", "sft", "--config", recipe(), "--dry-run", "--no-measure", "--json")
    assert result.code == 0, result.err
    assert (result.json["steps"], result.json["masks"]["rows"], result.json["timing"]) == (2, 6, None)
    assert result.json["preview"][0]["live"].count(True) > 0


def test_the_mask_as_a_page(hearth, house, recipe):
    command = ("align", "sft", "--config", recipe(), "--dry-run", "--no-measure", "--preview-html")
    assert hearth(*command, "mask.html").code == 0
    page = (house / "mask.html").read_text()
    assert "What sft trains: mine" in page and "\x1b" not in page
    result = hearth(*command, "nowhere/mask.html")
    assert result.code == 2 and "nowhere/mask.html" in result.err


def test_what_the_guard_refuses_is_shown_and_leaves_with_2(hearth, house, recipe, tiny_llama):
    (house / "odd.jinja").write_text("{{ messages | tojson }}")
    file = recipe(model={"path": str(tiny_llama), "chat_template": "odd.jinja"})
    result = hearth("align", "sft", "--config", file, "--dry-run")
    assert result.code == 2
    assert "6 to train on" in result.out
    assert "none can be added" in result.err and "model.chat_template" in result.err
    refused = hearth("align", "sft", "--config", file, "--dry-run", "--json")
    assert refused.json["error"]["type"] == "MaskError"


# Recipes


def test_the_recipes_that_ship_are_listed_with_a_line_each(hearth):
    from alignment.recipe import RECIPES

    lines = dict(line.split("\t") for line in hearth("align", "recipes").out.splitlines())
    ladders = {"scaling-small"}  # of `python -m alignment.scaling`, and no stage's
    assert set(lines) == {file.stem for file in RECIPES.glob("*.yaml")} - ladders
    assert all(lines.values())
    found = hearth("align", "recipes", "--json").json["recipes"]
    assert {entry["name"]: entry["about"] for entry in found} == lines


# Progress


@pytest.fixture
def run(tmp_path):
    folder = RunFolder(tmp_path / "watched")
    folder.path.mkdir()
    folder.note(max_steps=100)
    return folder


def test_progress_tells_step_figures_and_the_time_left(run):
    progress = Progress(run)
    assert not progress.read(0.0)
    run.log(10, {"loss": 2.5, "learning_rate": 0.1})
    assert progress.read(10.0)
    assert progress.line(10.0) == "step 10 of 100, loss 2.5"
    run.log(20, {"loss": 2.25, "reward": 0.5})
    assert progress.read(20.0)
    assert progress.line(20.0) == "step 20 of 100, loss 2.25, reward 0.5, 80 s left"


def test_half_lines_wait_and_a_file_that_was_replaced_is_read_anew(run):
    progress = Progress(run)
    run.log(1, {"loss": 3.0})
    with run.metrics_file.open("a") as out:
        out.write('{"step": 2, "lo')
    assert progress.read(0.0) and progress.step == 1
    with run.metrics_file.open("a") as out:
        out.write('ss": 1.0}\nnot json\n[1]\n')
    assert progress.read(1.0) and (progress.step, progress.figures) == (2, {"loss": 1.0})
    run.forget_after(1)
    run.log(2, {"loss": 0.5})
    assert progress.read(2.0) and progress.figures == {"loss": 0.5}


def test_a_run_is_watched_from_its_file_alone(run, monkeypatch):
    from contextlib import contextmanager

    shown = []

    @contextmanager
    def spinner(what):
        yield shown.append

    monkeypatch.setattr(align_watch, "spinner", spinner)
    monkeypatch.setattr(align_watch, "EVERY", 0.01)
    with align_watch.watched(run, "hearth align sft"):
        run.log(7, {"loss": 1.5})
        deadline = time.monotonic() + 10
        while not shown and time.monotonic() < deadline:
            time.sleep(0.01)
    assert shown == ["step 7 of 100, loss 1.5"]
    assert not [thread for thread in threading.enumerate() if thread.name == "hearth-align-watch"]


def test_signals_are_seen_whoever_handles_them():
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        with signals_seen() as seen:
            assert seen() == set()
            os.kill(os.getpid(), signal.SIGUSR1)
            assert seen() == {int(signal.SIGUSR1)}
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert signal.set_wakeup_fd(-1) == -1
