"""compare: recipes trained and judged in turn, held against each other; interrupted, it goes on where it was."""

import importlib.util
import os
import re
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from decoder.errors import RecipeError, Stopped
from decoder.runs.folder import RunFolder
from generators import diffusion_study, families
from generators.compare import compare
from generators.compare_report import limit_of
from generators.compare_runs import check_comparable
from generators.evaluate import evaluate, read_evaluation


def load(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # families are found by their module's name
    spec.loader.exec_module(module)
    return module


support, toy = load("judged_support"), load("toy_families_support")
NETWORK = {"timesteps": 8, "unet": {"channels": [8], "patch": 2}}


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory):
    """Judges that learn for a moment, in a home of their own; toy families."""
    with pytest.MonkeyPatch.context() as patch:
        support.hurry(patch, 5)
        patch.setenv("HEARTH_HOME", str(tmp_path_factory.mktemp("judges")))
        for name, entry in toy.ENTRIES.items():
            patch.setitem(families.FAMILIES, name, entry)
        yield


def recipe(family, sampling=None, **sections):
    evaluation = {"samples": 30, "sampling": sampling or {}}
    return toy.recipe("", family, name=family, evaluation=evaluation, **sections)


def refused(first, second, words):
    with pytest.raises(RecipeError, match=words):
        check_comparable([first, second])


@pytest.fixture(scope="module")
def compared(tmp_path_factory, quick):
    """Two toys, the second of which a signal ended on the way; what was told the second time; the folder."""
    place = tmp_path_factory.mktemp("compared")
    recipes = [recipe("toy_autoencoder"), recipe("toy_gan")]

    def interrupt(progress):
        if progress.step == 3 and RunFolder(place / "toy_gan-0").state:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Stopped, match="after step 4"):
        compare(recipes, place, watch=interrupt)
    assert not (place / "report.html").exists()
    told, steps = [], []
    compare(recipes, place, told=told.append, watch=lambda progress: steps.append(progress.step))
    return place, recipes, told, steps


def test_what_was_interrupted_goes_on_and_what_was_finished_stays(compared):
    _, _, told, steps = compared
    assert told == ["toy_gan, seed 0: training", "toy_gan, seed 0: evaluating"]
    assert steps == [5, 6, 7, 8]


def test_the_report_has_both_beside_real_pictures_in_the_eyes_of_both_judges(compared):
    place, *_ = compared
    text = (place / "report.md").read_text(encoding="utf-8")
    assert text.count("| real pictures (n=30) | toy_autoencoder | toy_gan |") == 2
    assert text.count("| FID | ") == 2 and re.search(r"^\| recall( \| [0-9.]+ \\\[[^|]*\\\]){3} \|$", text, re.M)
    assert "- training of each: 8 steps\n" in text
    grids = re.findall(r"!\[.*\]\((.*)\)", text)
    assert len(grids) == 2 and all((place / grid).is_file() for grid in grids)
    page = (place / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png") == 2 and "<script" not in page


def test_a_run_s_own_report_has_its_evaluation(compared):
    place, *_ = compared
    for name in ("report.md", "report.html"):
        text = (place / "toy_gan-0" / name).read_text(encoding="utf-8")
        assert "Evaluation" in text and "class accuracy" in text and "right on held-out pictures" in text


def test_a_run_that_was_judged_otherwise_since_is_judged_again(compared):
    place, recipes, *_ = compared
    evaluate(place / "toy_autoencoder-0", samples=20)
    told = []
    compare(recipes, place, told=told.append)
    assert told == ["toy_autoencoder, seed 0: evaluating"]
    assert read_evaluation(RunFolder(place / "toy_autoencoder-0"))["samples"] == 30
    with pytest.raises(RecipeError, match="holds a run of another recipe"):
        compare([replace(recipes[0], model={"latent": 2}), recipes[1]], place)


def test_what_would_not_compare_or_not_train_is_refused_before_anything_is_trained(tmp_path):
    first = recipe("toy_autoencoder")
    refused(first, recipe("toy_gan", data={"size": 16}), r"data\.size 16 and toy_autoencoder 8.*--set data\.size=8")
    fewer = replace(recipe("toy_gan"), evaluation=replace(first.evaluation, samples=20))
    refused(first, fewer, r"evaluation\.samples 20")
    refused(first, first, "two recipes are called toy_autoencoder")
    refused(first, recipe("toy_gan", model={"latnt": 3}), r"latent")
    refused(first, recipe("toy_gan", training={"max_steps": 0}), "would never end")
    with pytest.raises(RecipeError):
        compare([first, recipe("toy_gan", model={"latnt": 3})], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    check_comparable([first, recipe("toy_gan", data={"captions": "classes"})])


def test_limits_are_told_as_they_are():
    training = recipe("toy_gan").training
    assert limit_of(training) == "8 steps"
    assert limit_of(replace(training, budget_seconds=90.0)) == "90 CPU seconds or 8 steps"


def test_a_diffusion_model_is_also_drawn_from_with_other_steps_and_scales(tmp_path, monkeypatch):
    monkeypatch.setattr(diffusion_study, "STEPS", (("ddim", 2), ("ddpm", 1000)))
    monkeypatch.setattr(diffusion_study, "SCALES", (1.0, 2.5))
    small = recipe("ddpm", {"steps": 2}, model=NETWORK, training={"max_steps": 2})
    compare([small], tmp_path, seeds=(0, 1))
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    steps, guidance = text.partition("## ddpm: steps")[2].split("## ddpm: guidance")
    assert "| ddim | 2 |" in steps and "| ddpm | 8 |" in steps  # it was trained with as many, not with 1,000
    assert "| 1.0 |" in guidance and "| 2.5 |" in guidance
    assert "lowest and highest over the seeds" in text
