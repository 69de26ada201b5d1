"""Alarms: each rings for what it is for, once, says what was seen and what to do; healthy samples ring none."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from generators.alarms import Sighting, Watch
from generators.pictures import Split
from generators.sections import AlarmSection


def load(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


support = load("judged_support")
GAME = {"discriminator/loss": 1.2, "discriminator/discriminator_accuracy": 0.7, "generator/loss": 0.9}


@pytest.fixture
def watch():
    return Watch(AlarmSection(), support.digits(), support.first())


def real(classes=10, count=200):
    test = support.digits().test
    chosen = test.subset((test.labels < classes).nonzero()[:, 0]).floats()
    return chosen[torch.arange(count) % len(chosen)]


def look(watch, samples=None, progress=0.5, losses=GAME, step=100, **figures):
    return watch.look(step, progress, real() if samples is None else samples, losses, figures).alarms


def test_samples_of_four_of_ten_classes_are_a_collapse_and_it_says_what_was_seen_and_what_to_do(watch):
    (alarm,) = look(watch, real(4))
    assert (alarm.kind, alarm.step) == ("collapse", 100)
    assert alarm.figures["modes"] == 4
    assert alarm.figures["mode_kl"] > 0.8
    for words in ("200 samples cover 4 of 10 modes", "recall", "discriminator accuracy 0.70", "learning rates", "r1"):
        assert words in alarm.text
    json.dumps(alarm.figures)


def test_healthy_samples_ring_nothing_and_half_of_the_modes_is_no_collapse(watch):
    assert look(watch) == []
    assert look(watch, real(5)) == []


def test_good_pictures_that_are_all_alike_are_a_collapse_although_every_class_is_there(watch):
    train = support.digits().train
    firsts = torch.stack([(train.labels == k).nonzero()[0, 0] for k in range(10)])
    (collapse, copied) = look(watch, train.subset(firsts).floats().repeat(20, 1, 1, 1))
    assert collapse.kind == "collapse"
    assert collapse.figures["modes"] == 10
    assert collapse.figures["recall"] < 0.05
    assert copied.kind == "memorisation"


def test_no_collapse_is_told_before_the_warm_up_without_a_discriminator_or_of_too_few_samples(watch):
    assert look(watch, real(2), progress=0.2) == []
    assert look(watch, real(2), losses={"all/loss": 1.0}) == []
    assert look(watch, real(2)[:20]) == []
    assert (
        Watch(AlarmSection(collapse=False), support.digits(), support.first()).look(1, 1, real(2), GAME, {}).alarms
        == []
    )


def test_an_alarm_rings_once_and_again_only_after_it_was_over(watch):
    assert len(look(watch, real(3))) == 1
    assert look(watch, real(2)) == []
    assert look(watch) == []
    assert len(look(watch, real(3))) == 1


def test_copies_of_training_pictures_are_told(watch):
    train = support.digits().train.floats()[:200]
    blurred = train + 0.05 * torch.randn(train.shape, generator=torch.Generator().manual_seed(0))
    (alarm,) = look(watch, blurred.clamp(-1, 1), losses={})
    assert alarm.kind == "memorisation"
    assert alarm.figures["nearest"] < 0.6
    assert "held-out pictures" in alarm.text


def test_translations_have_the_variety_of_what_they_are_made_of_and_ring_nothing():
    split = support.digits()
    pairs = Split(*(replace(part, targets=part.images) for part in (split.train, split.test)))
    watch = Watch(AlarmSection(), pairs, support.first())
    assert watch.look(1, 1.0, support.digits().train.floats()[:200], GAME, {}) == Sighting([], {})


def test_the_quality_of_what_was_looked_at_is_told_also_before_the_warm_up(watch):
    seen = watch.look(1, 0.0, real(4), GAME, {})
    assert seen.alarms == [] and sorted(seen.quality) == ["fid", "modes", "recall"]
    assert seen.quality["modes"] == 4 and seen.quality["fid"] > watch.look(2, 0.0, real(), GAME, {}).quality["fid"]


def test_a_code_that_says_nothing_is_a_posterior_collapse():
    watch = Watch(AlarmSection(collapse=False, memorisation=False), support.digits(), None)
    assert look(watch, active_units=8.0, units=8.0, kl=14.0) == []
    (alarm,) = look(watch, active_units=1.0, units=8.0, kl=0.3)
    assert alarm.kind == "posterior_collapse"
    assert "1 of 8 units" in alarm.text
    assert "KL of 0.30 nats" in alarm.text
    assert "beta" in alarm.text
    (fresh,) = look(Watch(AlarmSection(collapse=False), support.digits(), None), active_units=0.0)
    assert fresh.figures == {"active_units": 0}


def bounds(watch, *pairs):
    return [[alarm.kind for alarm in look(watch, losses={"all/loss": loss}, bound=bound)] for bound, loss in pairs]


@pytest.fixture
def bound_watch():
    return Watch(AlarmSection(collapse=False, memorisation=False), support.digits(), None)


def test_a_bound_that_rises_while_the_training_loss_falls_is_overfitting(bound_watch):
    rung = bounds(bound_watch, (40, 39), (20, 20), (18, 17), (18.5, 16), (19, 15), (19.5, 14), (20, 13))
    assert rung == [[], [], [], [], [], ["overfitting"], []]


def test_noise_in_the_bound_a_rising_training_loss_and_a_bound_that_recovers_are_not(bound_watch):
    assert not any(bounds(bound_watch, (40, 39), (20, 20), (20.1, 19), (20.2, 18), (20.1, 17), (20.3, 16)))
    other = Watch(AlarmSection(collapse=False, memorisation=False), support.digits(), None)
    assert not any(bounds(other, (40, 39), (20, 20), (22, 21), (24, 22), (26, 23), (19, 18), (19.2, 17)))


def test_a_restored_watch_goes_on_as_if_it_had_never_stopped(bound_watch):
    past = [(40.0, 39.0), (20.0, 20.0), (18.0, 17.0), (18.5, 16.0)]
    to_come = [(19.0, 15.0), (19.5, 14.0), (20.0, 13.0)]
    bounds(bound_watch, *past)
    other = Watch(AlarmSection(collapse=False, memorisation=False), support.digits(), None)
    other.restore(json.loads(json.dumps(bound_watch.state())))
    assert bounds(other, *to_come) == bounds(bound_watch, *to_come) == [[], ["overfitting"], []]
    assert other.state() == bound_watch.state()
