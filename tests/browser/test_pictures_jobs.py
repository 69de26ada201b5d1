"""The jobs of the page "pictures", for real: train, be stopped or killed, go on; draw and draw again; walk."""

import importlib.util
import shutil
import time
from pathlib import Path

import pytest

pytest.importorskip("diffusers", reason="diffusers is in the generate extra")

from decoder.errors import UsageError
from decoder.runs.checkpoints import last_whole, step_of
from generators.errors import GeneratorError, ModelError
from ui.browser import jobs, picture_draw_job, picture_train_job
from ui.browser.picture_gallery import gallery_of
from ui.browser.picture_models import drawn_by
from ui.browser.picture_runs import find_run
from ui.browser.picture_walk import made_walk, walk_key


def load(name, folder=Path(__file__).parent):
    spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


support = load("pictures_support")
DRAW = {"does": "draw", "from": "run", "run": "home:tiny", "owner": "own", "count": 3, "seed": 5}
WALK = {"does": "walk", "run": "home:tiny", "start": "1", "end": "picture:2", "steps": 4, "way": "spherical"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return support.train_tiny(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def run(home, trained):
    """The tiny run in this test's home."""
    shutil.copytree(trained, home / "runs" / "tiny")
    return find_run("home:tiny")


@pytest.fixture
def silent(home):
    return support.Silent(home / "job")


def test_a_finished_run_has_its_grids_and_can_be_drawn_from(run):
    assert run.status == "finished" and run.finished and run.family == "vae"
    assert [step for step, _ in run.grids()] == [2, 4]


def test_what_a_model_draws_by_is_read_once(run, monkeypatch):
    monkeypatch.setattr("generators.model.load_model", None)  # the training job has noted it
    about = drawn_by(run.folder)
    assert (about.family, about.hears, about.codes, about.encodes) == ("vae", (), 8, True)
    monkeypatch.undo()
    config = run.folder.model / "config.json"
    config.write_text(config.read_text().replace('"latent": 8', '"latent": 4'))
    with pytest.raises(ModelError):
        drawn_by(run.folder)


def test_pictures_of_a_run_are_drawn_again_bit_by_bit(run, silent):
    drawn = picture_draw_job.run(DRAW | {"options": {"temperature": 0.7}}, silent)["pictures"]
    gallery = gallery_of("own")
    assert gallery.every() == drawn and len(drawn) == 3 and silent.told["share"] == 1.0
    again = picture_draw_job.run({"does": "reproduce", "picture": drawn[1], "owner": "own"}, silent)
    assert again["equal"] and again["largest_difference"] == 0 and again["notes"] == []
    other = picture_draw_job.run({"does": "reproduce", "picture": drawn[1], "owner": "own"}, silent)
    assert other["equal"]
    shutil.copy(gallery.file(drawn[0]), gallery.path / f"{drawn[1]}.bak")
    from generators.run_pictures import read_run_metadata

    said = read_run_metadata(gallery.file(drawn[1]))
    assert (said.seed, said.count, said.number, said.options) == (5, 3, 1, {"temperature": 0.7})


def test_a_picture_that_was_changed_and_a_model_that_is_another_are_told(run, silent):
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    (name, *_) = picture_draw_job.run(DRAW, silent)["pictures"]
    file = gallery_of("own").file(name)
    with Image.open(file) as image:
        info = PngInfo()
        info.add_itxt("hearth-run", image.text["hearth-run"])
        changed = image.point(lambda value: 255 - value)
    changed.save(file, pnginfo=info)
    asked = {"does": "reproduce", "picture": name, "owner": "own"}
    again = picture_draw_job.run(asked, silent)
    assert not again["equal"] and again["largest_difference"] > 0
    config = run.folder.model / "config.json"
    config.write_text(config.read_text() + " ")
    with pytest.raises(ModelError, match="another by now"):
        picture_draw_job.run(asked, silent)


def test_what_a_png_says_never_decides_what_is_loaded(run, silent):
    (name, *_) = picture_draw_job.run(DRAW, silent)["pictures"]
    gallery_of("own").file(name).with_suffix(".json").unlink()
    with pytest.raises(UsageError, match="not known any more"):
        picture_draw_job.run({"does": "reproduce", "picture": name, "owner": "own"}, silent)


def test_a_walk_is_made_once(run, silent, monkeypatch):
    key, gallery = walk_key(WALK), gallery_of("own")
    assert made_walk(gallery, key) == []
    assert picture_draw_job.run(WALK | {"owner": "own"}, silent) == {"walk": key}
    made = made_walk(gallery, key)
    assert len(made) == 4 and len({file.read_bytes() for file in made}) == 4
    monkeypatch.setattr("ui.browser.picture_walk._pictures", None)  # to make them again would fail
    assert picture_draw_job.run(WALK | {"owner": "own"}, silent) == {"walk": key}
    assert walk_key(WALK | {"end": "3"}) != key
    config = run.folder.model / "config.json"
    config.write_text(config.read_text() + " ")
    assert walk_key(WALK) != key


def test_one_number_of_a_code_is_gone_along(run, silent):
    asked = {"does": "traverse", "run": "home:tiny", "start": "1", "steps": 3, "dimension": 2, "reach": 3.0}
    key = picture_draw_job.run(asked | {"owner": "own"}, silent)["walk"]
    assert len(made_walk(gallery_of("own"), key)) == 3
    for wrong in ({"start": "../x"}, {"start": "picture:100000"}, {"dimension": 99}, {"steps": 1}):
        with pytest.raises((UsageError, GeneratorError)):
            picture_draw_job.run(asked | wrong | {"owner": "own"}, silent)


def test_a_diffusion_model_tells_its_steps_and_shows_them(home, silent, monkeypatch):
    small = [
        "training.max_steps=1", "training.budget_seconds=0", "model.unet={channels: [8], patch: 4}",
        "model.timesteps=8", "evaluation.sampling={steps: 2}",
    ]  # fmt: skip
    spec = {"does": "train", "recipe": "ddpm-digits", "name": "tiny", "run": "home:tiny", "overrides": small}
    support.train_tiny(home, spec)
    monkeypatch.setenv("HEARTH_HOME", str(home))
    picture_draw_job.run(DRAW | {"labels": [3, 3, 7], "options": {"steps": 4}}, silent)
    assert (silent.told["step"], silent.told["steps"]) == (4, 4)
    assert (silent.folder / picture_draw_job.PREVIEW).is_file()
    again = {"does": "reproduce", "picture": gallery_of("own").every()[2], "owner": "own"}
    assert picture_draw_job.run(again, silent)["equal"]


def test_a_pretrained_pipeline_draws_and_draws_again(home, silent):
    folder = load("pipelines_support", Path(__file__).parents[1] / "generators").save_pipeline("sd", home / "sd")
    asked = {
        "does": "draw", "from": "pipeline", "model": str(folder), "prompt": "a red cat", "count": 2, "seed": 3,
        "steps": 2, "width": 32, "height": 32, "scheduler": "ddim", "strength": 0.8, "owner": "own",
    }  # fmt: skip
    names = picture_draw_job.run(asked, silent)["pictures"]
    assert silent.told["share"] == 1.0 and (silent.folder / picture_draw_job.PREVIEW).is_file()
    again = picture_draw_job.run({"does": "reproduce", "picture": names[1], "owner": "own"}, silent)
    assert again["equal"] and again["notes"] == []


def test_runs_that_have_finished_are_held_against_each_other(home, trained, silent, monkeypatch):
    from ui.browser.picture_comparison import every_comparison

    load("judged_support", Path(__file__).parents[1] / "generators").hurry(monkeypatch, 2)
    for name in ("one", "two"):
        shutil.copytree(trained, home / "runs" / name)
        recipe = home / "runs" / name / "recipe.yaml"
        recipe.write_text(recipe.read_text().replace("name: tiny", f"name: {name}").replace("397", "30"))
    spec = {"does": "compare", "runs": ["home:one", "home:two"], "run": "home:compared"}
    picture_train_job.run(spec, silent)
    (kept,) = every_comparison()
    heads = [table["head"] for table in kept.tables]
    assert heads[0] == ["", "real pictures (n=30)", "one", "two"] and heads[0] == heads[1]
    assert kept.tables[0]["rows"][0][0] == "FID" and "[" in kept.tables[0]["rows"][0][1]
    assert len(kept.grids) == 2 and kept.report.startswith(b"<!doctype html>")


def until(job, enough, seconds=90):
    """The job once `enough(job)`, or as it is at the end."""
    deadline = time.monotonic() + seconds
    while (now := jobs.find(job.id)).going and not enough(now) and time.monotonic() < deadline:
        time.sleep(0.1)
    return now


def test_a_training_that_is_stopped_or_killed_goes_on_where_it_was(home, silent, monkeypatch):
    slow = ["training.max_steps=800", "training.budget_seconds=0", "training.evaluate_every=0", "model.hidden=16"]
    spec = support.SPEC | {"overrides": slow}
    job = jobs.start("pictures", "training", spec)
    until(job, lambda now: now.progress.get("step", 0) > 0)
    jobs.stop(job)
    assert jobs.wait(job, 60).state == "stopped"
    stopped = find_run("home:tiny")
    at = step_of(last_whole(stopped.folder.checkpoints()))
    assert stopped.status == "stopped" and 0 < at < 800

    job = jobs.start("pictures", "training", spec | {"resume": True})
    until(job, lambda now: now.progress.get("step", 0) > at)
    jobs.kill(job)
    assert jobs.wait(job, 60).state == "killed"
    assert find_run("home:tiny").status == "killed"
    assert step_of(last_whole(stopped.folder.checkpoints())) == at

    monkeypatch.setattr("generators.trainer_run.renew_report", lambda folder: None)
    steps = []
    monkeypatch.setattr(silent, "tell", lambda **told: steps.append(told.get("step")))
    picture_train_job.run(spec | {"resume": True}, silent)
    assert steps[1] == at + 1 and steps[-1] == 800 and find_run("home:tiny").finished
