"""Figures reach the trackers that a recipe names, under one set of names; one that is not there is told at the start.

Weights & Biases and MLflow are no packages of ours: what is tested of them is that their absence is an error before
anything runs, and that they are never let to ask for a login.
"""

import os

import pytest

from alignment.recipe import make_recipe
from alignment.training_arguments import training_arguments
from decoder.errors import RecipeError
from decoder.runs.folder import RunFolder
from decoder.runs.tracking import open_tracker, quiet_environment, tracked_names


def recipe_of(*names):
    return make_recipe({"stage": "sft", "name": "mine", "tracking": list(names)})


def scalars(folder):
    """{name: [(step, value)]} of the event files below a folder, read by TensorBoard's own reader."""
    loading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = {}
    for file in sorted(folder.rglob("events.out.tfevents.*")):
        events = loading.EventAccumulator(str(file))
        events.Reload()
        for name in events.Tags()["scalars"]:
            found.setdefault(name, []).extend((event.step, event.value) for event in events.Scalars(name))
    return found


def test_tensorboard_reads_back_what_was_logged(tmp_path):
    with open_tracker(["tensorboard"], "tried", RunFolder(tmp_path)) as tracker:
        tracker.log(1, {"reward": 0.5, "eval_loss": 2.0, "note": "text", "kl": float("nan"), "flag": True})
        tracker.log(2, {"reward": 0.75})
    assert scalars(tmp_path) == {"train/reward": [(1, 0.5), (2, 0.75)], "eval/loss": [(1, 2.0)]}


def test_names_are_those_of_transformers_own_callbacks():
    from transformers.integrations.integration_utils import rewrite_logs

    logged = {"loss": 1.0, "eval_loss": 2.0, "completions/mean_length": 3.0}
    assert tracked_names(logged) == rewrite_logs(logged)


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_tracker_that_is_not_installed_is_told_at_the_start(name, tmp_path, monkeypatch):
    import decoder.runs.tracking

    real = decoder.runs.tracking.find_spec
    monkeypatch.setattr(decoder.runs.tracking, "find_spec", lambda asked: None if asked == name else real(asked))
    with pytest.raises(RecipeError, match=rf"{name}, which is not installed.*\n*.*pip install {name}"):
        training_arguments(recipe_of(name), RunFolder(tmp_path), "trl:SFTConfig")
    with pytest.raises(RecipeError, match="not installed"), open_tracker([name], "tried", RunFolder(tmp_path)):
        pass


def test_an_unknown_tracker_is_refused_with_the_nearest_name(tmp_path):
    with pytest.raises(RecipeError, match=r"Did you mean tensorboard\?"):
        training_arguments(recipe_of("tensorbord"), RunFolder(tmp_path), "trl:SFTConfig")


def test_without_a_key_wandb_stays_offline_and_what_the_user_set_stays(monkeypatch):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    quiet_environment(["wandb"])
    assert (os.environ["WANDB_MODE"], os.environ["WANDB_PROJECT"]) == ("offline", "hearth")
    monkeypatch.setenv("WANDB_MODE", "online")
    quiet_environment(["wandb"])
    assert os.environ["WANDB_MODE"] == "online"


def test_without_trackers_nothing_is_written(tmp_path):
    with open_tracker([], "tried", RunFolder(tmp_path)) as tracker:
        tracker.log(1, {"reward": 0.5})
    assert list(tmp_path.iterdir()) == []
