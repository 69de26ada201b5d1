"""A GAN that collapses is flagged at the first look at which it has, and one that does not is left in peace."""

import importlib.util
from pathlib import Path

import pytest

from generators.recipe import load_recipe
from generators.train import train


def load(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


support = load("judged_support")
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def judged(monkeypatch):
    support.first()
    monkeypatch.setattr("generators.trainer_run.renew_report", lambda folder: None)


def run(tmp_path, recipe, *overrides):
    limits = ["training.budget_seconds=0", "training.sample_every=0", f"output={tmp_path / recipe}"]
    return train(load_recipe(recipe, [*limits, *overrides]))


def test_a_provoked_collapse_is_flagged_at_the_first_look_after_the_warm_up(tmp_path):
    limits = ["training.max_steps=400", "training.evaluate_every=100", "alarms.warmup=0.5", "alarms.stop=true"]
    folder = run(tmp_path, "dcgan-collapse", *limits)
    state = folder.state
    assert state["status"] == "alarm"
    assert state["steps"] == 200
    (alarm,) = state["alarms"]
    assert (alarm["kind"], alarm["step"]) == ("collapse", 200)
    assert alarm["figures"]["modes"] < 5
    assert alarm["figures"]["recall"] < 0.1
    assert any(line.get("alarm") == "collapse" for line in folder.metrics())


def test_a_healthy_gan_is_not_flagged(tmp_path):
    limits = ["training.max_steps=240", "training.evaluate_every=80", "alarms.warmup=0.6", "training.ema_decay=0.9"]
    state = run(tmp_path, "dcgan-digits", *limits).state
    assert (state["status"], state["alarms"]) == ("finished", [])
