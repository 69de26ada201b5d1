"""`hearth generate` as a user types it: real models of a few steps, real pipelines of random weights."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from decoder.errors import UsageError
from decoder.runs.folder import RunFolder
from ui.cli.generate import seeds_from
from ui.cli.generate_figures import evaluation_rows
from ui.cli.generate_options import labels_from, options_from, prompts_for
from ui.cli.generate_watch import Display

pytest.importorskip("diffusers", reason="needs the extra generate")
ROOT = Path(__file__).resolve().parents[2]
UNJUDGED = ("--set", "alarms.collapse=false", "--set", "alarms.memorisation=false")
"""A judge takes longer to train than the models of these tests."""
SHORT = ("--set", "training.max_steps=5", "--set", "training.budget_seconds=0", "--set", "name=mine", *UNJUDGED)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder in which `runs/mine` is a conditional VAE after five steps, trained by the command."""
    place = tmp_path_factory.mktemp("trained")
    from ui.cli.main import main

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        code = main(["generate", "train", "vae-digits-conditional", *SHORT])
    assert code == 0
    return place


@pytest.fixture
def inside(trained, monkeypatch):
    """Working where the run is."""
    monkeypatch.chdir(trained)
    return trained


# Training


def test_training_says_where_all_is_and_what_is_next(hearth, house):
    result = hearth("generate", "train", "vae-digits", *SHORT, "--set", "output=there")
    assert result.code == 0, result.err
    lines = dict(line.split("\t") for line in result.out.splitlines()[1:])
    assert result.out.startswith("mine is trained\n")
    assert lines["steps"] == "5" and float(lines["bound"]) > 10
    assert Path(lines["model"]).joinpath("model.safetensors").is_file() and Path(lines["report"]).is_file()
    assert "next: hearth generate sample there" in result.err
    again = hearth("generate", "train", "vae-digits", *SHORT, "--set", "output=there")
    assert (again.code, "already holds a run" in again.err) == (2, True)
    resumed = hearth("generate", "train", "vae-digits", *SHORT, "--set", "output=there", "--resume", "--json")
    assert resumed.code == 0
    assert (resumed.json["status"], resumed.json["name"], resumed.json["model"]) == ("finished", "mine", "there/model")
    assert resumed.json["metrics"]["bound"] > 10


def test_ctrl_c_leaves_a_checkpoint_and_says_how_to_go_on(house):
    budget = ["--set", "training.budget_seconds=200", *UNJUDGED]
    command = [sys.executable, "-m", "ui.cli", "generate", "train", "vae-digits", *budget]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    run = subprocess.Popen(command, cwd=house, env=environment, stderr=subprocess.PIPE, text=True)
    folder = RunFolder(house / "runs" / "vae-digits")
    try:
        deadline = time.monotonic() + 120
        while not folder.metrics() and time.monotonic() < deadline:
            assert run.poll() is None, run.stderr.read()
            time.sleep(0.1)
        run.send_signal(signal.SIGINT)
        _, err = run.communicate(timeout=60)
    finally:
        run.kill()
    assert run.returncode == 130, err
    assert f"Go on with: hearth generate train vae-digits {' '.join(budget)} --resume" in err
    assert folder.checkpoints() and folder.state["status"] == "stopped"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["vae-digit"], "Did you mean vae-digits?"),
        (["vae-digits", "--set", "model.latnt=4"], "Did you mean latent?"),
        (["vae-digits", "--set", "data.source=missing"], "missing does not exist"),
        (["vae-digits", "--set", "training.max_steps"], "is no key=value"),
    ],
)
def test_a_recipe_that_cannot_be_used_is_refused_before_anything_is_made(hearth, house, arguments, told):
    result = hearth("generate", "train", *arguments)
    assert result.code == 2
    assert told in result.err
    assert not (house / "runs").exists()


def test_progress_shows_where_the_run_is_and_tells_an_alarm_once(capsys):
    from generators.trainer_progress import Progress

    lines = []
    display = Display(lines.append)
    alarm = "3 of 10 modes\x1b[2J are covered"
    for _ in range(3):
        display(Progress(420, 0, 31.04, 100.0, 0.31, {"vae/loss": 0.2314}, 120.0, alarm=alarm))
    assert len(lines) == 1
    assert lines[0].startswith("31%, step 420, 31.0 of 100 s, vae/loss 0.2314, ") and lines[0].endswith(" left")
    assert capsys.readouterr().err == "alarm: 3 of 10 modes are covered\n"


# Sampling


def test_samples_are_a_grid_or_a_file_each_and_the_seed_makes_them(hearth, inside):
    grid = hearth("generate", "sample", "mine", "--count", "6")
    assert grid.code == 0, grid.err
    assert grid.out == "runs/mine/samples-0.png\n"
    with Image.open(inside / "runs/mine/samples-0.png") as image:
        assert image.width > image.height > 48  # three a row
    files = hearth("generate", "sample", "runs/mine", "-n", "2", "--out", "each", "--json")
    assert files.json == {"count": 2, "seed": 0, "files": ["each/00000.png", "each/00001.png"]}
    with Image.open(inside / "each" / "00000.png") as image:
        assert (image.size, image.mode) == ((16, 16), "L")
    for seed, name in ((0, "same"), (1, "other")):
        assert hearth("generate", "sample", "mine/", "-n", "2", "--seed", seed, "-o", name).code == 0
    first, same, other = ((inside / name / "00001.png").read_bytes() for name in ("each", "same", "other"))
    assert first == same != other


def test_classes_are_asked_for_by_name_or_number(hearth, inside):
    for labels, name in (("three,7", "named"), ("3,seven", "numbered"), ("7", "sevens")):
        assert hearth("generate", "sample", "mine", "-n", "2", "--labels", labels, "-o", name).code == 0
    files = {name: [(inside / name / f"0000{i}.png").read_bytes() for i in (0, 1)] for name in ("named", "numbered")}
    assert files["named"] == files["numbered"]
    assert files["named"][1] == (inside / "sevens" / "00001.png").read_bytes()
    assert files["named"][0] != (inside / "sevens" / "00000.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["mine", "--labels", "twelve"], "is no class of the model. Its classes are 0 zero, 1 one"),
        (["mine", "--set", "temprature=1"], "Did you mean temperature?"),
        (["mine", "--set", "temperature"], "is no key=value"),
        (["mine", "--images", "pictures"], "vae translates no pictures"),
        (["mine", "--out", "a.jpg"], "ends in .jpg"),
        (["yours"], "yours holds no run. Train one"),
        (["mine", "--count", "0"], "--count"),
    ],
)
def test_what_the_model_cannot_draw_is_refused(hearth, inside, arguments, told):
    result = hearth("generate", "sample", *arguments)
    assert result.code == 2
    assert told in result.err


def test_a_damaged_model_is_told_by_its_folder(hearth, house, trained):
    import shutil

    shutil.copytree(trained / "runs" / "mine", house / "damaged")
    (house / "damaged" / "model" / "model.safetensors").write_bytes(b"\0" * 100)
    result = hearth("generate", "sample", "damaged")
    assert result.code == 2
    assert "damaged/model holds no model that can be loaded" in result.err


def test_a_model_that_translates_is_given_held_out_pictures_or_others(hearth, house):
    short = (
        "--set",
        "training.max_steps=1",
        "--set",
        "training.budget_seconds=0",
        "--set",
        "data.max_images=60",
        *UNJUDGED,
    )
    trained = hearth("generate", "train", "pix2pix-digits", *short, "--set", "output=run")
    assert trained.code == 0, trained.err
    assert hearth("generate", "sample", "run", "-n", "4", "-o", "held").code == 0
    assert len(list((house / "held").iterdir())) == 4
    (house / "mine").mkdir()
    for i in range(2):
        Image.new("L", (40, 30), 100 * i).save(house / "mine" / f"{i}.png")
    result = hearth("generate", "sample", "run", "--images", "mine", "-o", "translated", "--json")
    assert (result.code, result.json["count"]) == (0, 2)
    (house / "mine" / "0.png").write_text("no picture")
    assert "0.png is no picture" in hearth("generate", "sample", "run", "--images", "mine").err
    assert "pix2pix makes no pictures of flat codes" in hearth("generate", "interpolate", "run").err


# Between codes


def test_a_walk_between_seeds_or_pictures_is_one_row(hearth, inside):
    pytest.importorskip("generators.latent_space")
    result = hearth(
        "generate", "interpolate", "mine", "--from", "4", "--to", "picture:2", "--steps", "5", "--label", "3"
    )
    assert result.code == 0, result.err
    assert result.out == "runs/mine/interpolation-4-picture2.png\n"
    with Image.open(inside / result.out.strip()) as image:
        assert image.width > 4 * image.height
    for name, more in (("arc", ()), ("line", ("--linear",))):
        assert hearth("generate", "interpolate", "mine", "-o", name, "--steps", "3", *more).code == 0
    same, other = ([(inside / name / f"0000{i}.png").read_bytes() for name in ("arc", "line")] for i in (0, 1))
    assert same[0] == same[1] and other[0] != other[1]


@pytest.mark.parametrize(("code", "told"), [("x", "is no code"), ("picture:9999", "no held-out picture 9999")])
def test_an_end_that_is_no_code_is_refused(hearth, inside, code, told):
    pytest.importorskip("generators.latent_space")
    result = hearth("generate", "interpolate", "mine", "--to", code)
    assert result.code == 2
    assert told in result.err


# Judging


def test_figures_stand_beside_those_of_real_pictures():
    def side(value, n):
        return {"fid": {"value": value, "low": value - 0.5, "high": value + 0.5}, "accuracy": None, "n": n}

    judges = {"first": ("ten digits", 3.0, 1.0), "second": ("other digits", 4.0, 2.0)}
    plain = {
        name: {"judge": said, "measures": side(ours, 50), "floor": side(real, 40)}
        for name, (said, ours, real) in judges.items()
    }
    assert evaluation_rows({**plain, "figures": {"bound": 23.456}}) == [
        ("judge", "ten digits", "", "other digits", ""),
        ("fid", "3 (2.5 to 3.5)", "1 (0.5 to 1.5)", "4 (3.5 to 4.5)", "2 (1.5 to 2.5)"),
        ("n", "50", "40", "50", "40"),
        ("bound", "23.5", "", "", ""),
    ]


def test_a_run_is_judged_and_all_of_it_written_down(hearth, inside, monkeypatch):
    from generators import judge_training

    for name, judge in judge_training.RECIPES.items():  # real judges, of a few steps
        monkeypatch.setitem(judge_training.RECIPES, name, replace(judge, steps=10))
    result = hearth("generate", "evaluate", "mine", "--samples", "30", "--set", "temperature=0.5")
    assert result.code == 0, result.err
    rows = {row[0]: row[1:] for row in (line.split("\t") for line in result.out.splitlines())}
    assert rows["n"] == ["30"] * 4
    assert {"fid", "recall", "modes", "accuracy", "bound"} <= set(rows)
    assert "all of it: runs/mine/evaluation.json" in result.err
    said = hearth("generate", "evaluate", "mine", "--samples", "30", "--set", "temperature=0.5", "--json").json
    assert said["sampling"] == {"temperature": 0.5}
    kept = json.loads((inside / "runs/mine/evaluation.json").read_text())
    assert kept["first"]["measures"]["fid"] == said["first"]["measures"]["fid"]


@pytest.mark.parametrize("text", ["", "a", "0,0", "-1", "0,,1"])
def test_seeds_are_numbers_each_once(text):
    with pytest.raises(UsageError, match="--seeds"):
        seeds_from(text)


def test_several_seeds_are_read():
    assert seeds_from("0,1,2") == [0, 1, 2]


# Drawing from a prompt


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("pipelines", ROOT / "tests" / "generators" / "pipelines_support.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.save_pipeline("sd", tmp_path_factory.mktemp("pipeline") / "sd")


def test_a_drawn_picture_is_drawn_again_from_what_is_written_in_it(hearth, house, pipeline):
    drawn = hearth("generate", "draw", "a red cat", "--model", pipeline, "--steps", "2", "--seed", "5", "-o", "cat.png")
    assert drawn.code == 0, drawn.err
    assert drawn.out == "cat.png\t5\n"
    again = hearth("generate", "reproduce", "cat.png", "--model", pipeline, "--json")
    assert again.code == 0, again.err
    assert again.json["equal"] and again.json["metadata"]["prompt"] == "a red cat"
    with Image.open("cat.png") as image:
        kept = dict(image.text)
        changed = image.copy()
    changed.putpixel((0, 0), (255 - changed.getpixel((0, 0))[0], 0, 0))
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for key, value in kept.items():
        info.add_itxt(key, value)
    changed.save("changed.png", pnginfo=info)
    other = hearth("generate", "reproduce", "changed.png", "--model", pipeline, "-o", "again.png")
    assert other.code == 1
    assert other.out.startswith("another: a value differs by") and Path("again.png").is_file()


def test_several_pictures_are_numbered_and_told_with_their_seeds(hearth, house, pipeline):
    result = hearth(
        "generate", "draw", "a cat", "--model", pipeline, "-n", "2", "--steps", "1", "--seed", "7", "--json"
    )
    assert result.code == 0, result.err
    said = result.json["pictures"]
    assert [(each["file"], each["metadata"]["seed"]) for each in said] == [("picture-1.png", 7), ("picture-2.png", 8)]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--model", "missing"], "missing"),
        (["--out", "a.jpg"], "is no .png"),
        (["--out", "missing/a.png"], "there is no folder missing"),
        (["--expand"], "there is no decoder"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_work(hearth, house, arguments, told):
    result = hearth("generate", "draw", "a cat", *arguments)
    assert result.code == 2
    assert told in result.err


def test_a_picture_of_somebody_else_s_is_not_drawn_again(hearth, house):
    Image.new("RGB", (8, 8)).save("other.png")
    result = hearth("generate", "reproduce", "other.png")
    assert result.code == 2
    assert "does not say how Hearth made it" in result.err


def test_ctrl_c_ends_a_drawing_before_its_next_step(hearth, house, pipeline, monkeypatch):
    from ui.cli import generate_draw

    def interrupting(show, count):
        return lambda step: os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(generate_draw, "_telling", interrupting)
    result = hearth("generate", "draw", "a cat", "--model", pipeline, "--steps", "5")
    assert result.code == 130
    assert not Path("picture.png").exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# What ships, and small readers


def test_the_recipes_that_ship_are_listed_with_what_they_do(hearth):
    lines = dict(line.split("\t") for line in hearth("generate", "recipes").out.splitlines())
    assert {"vae-digits", "dcgan-digits"} <= set(lines)
    assert all(lines.values())
    assert {each["name"] for each in hearth("generate", "recipes", "--json").json["recipes"]} == set(lines)


def test_options_are_read_as_yaml_has_them():
    assert options_from(["steps=10", "guidance_scale=1.5", "how=fast", "on=true"]) == {
        "steps": 10,
        "guidance_scale": 1.5,
        "how": "fast",
        "on": True,
    }
    for text in ("", "=1", "a b=1", "x=[1"):
        with pytest.raises(UsageError, match="--set"):
            options_from([text])


@given(st.lists(st.sampled_from(["zero", "One", "2", "0"]), min_size=1, max_size=5), st.integers(1, 12))
def test_labels_take_turns(words, count):
    numbers = {"zero": 0, "One": 1, "2": 2, "0": 0}
    assert labels_from(",".join(words), ("zero", "one", "two"), count) == [
        numbers[words[i % len(words)]] for i in range(count)
    ]


def test_a_class_called_by_a_number_is_meant_by_its_name():
    assert labels_from("7", ("3", "7"), 1) == [1]
    assert labels_from("1", ("3", "7"), 1) == [1]
    assert labels_from("", (), 3) is None
    with pytest.raises(UsageError, match="draws by none"):
        labels_from("1", (), 1)


def test_prompts_take_turns():
    assert prompts_for(["a", "b"], 3) == ("a", "b", "a")
    assert prompts_for(None, 3) == ()


def test_with_json_an_error_is_json(hearth):
    result = hearth("generate", "sample", "nothing", "--json")
    assert json.loads(result.out)["error"]["type"] == "UsageError"
