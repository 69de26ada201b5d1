"""All figures together, on stand-ins for samples of which it is known what they should come to."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from generators.errors import DataError
from generators.judge import judge_for
from generators.metrics import FIGURES, Measures, floor, floor_against, measure, measure_against
from generators.pictures import Split


def load(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


support = load("judged_support")
N = 200


def shuffled(pictures, seed=0):
    return pictures.subset(torch.randperm(len(pictures), generator=torch.Generator().manual_seed(seed)))


@pytest.fixture(scope="module")
def real():
    return floor_against(support.digits(), support.known(), N, resamples=40)


def measured(images, labels=None):
    return measure_against(images, support.known(), labels, resamples=40)


def test_real_pictures_come_to_what_real_pictures_should(real):
    assert real.n == N
    assert real.fid.value < 2
    assert real.kid.low < 0.02
    assert real.precision.value > 0.85
    assert real.recall.value > 0.8
    assert real.density.value == pytest.approx(1, abs=0.1)
    assert real.modes.value == real.modes_present == 10
    assert real.mode_kl.value < 0.05
    assert real.accuracy.value > 0.98
    assert real.diversity.value == pytest.approx(1, abs=0.05)
    assert real.nearest.low < 1.02
    assert real.nearest.high > 0.98


def test_a_few_classes_look_well_by_precision_and_are_found_out_by_everything_about_variety(real):
    train = shuffled(support.digits().train)
    found = measured(train.subset((train.labels < 3).nonzero()[:N, 0]).floats())
    assert found.precision.value == 1
    assert found.modes.value == 3
    assert found.mode_kl.value > 1
    assert found.recall.value < 0.5 * real.recall.value
    assert found.coverage.high < 0.7 * real.coverage.value
    assert found.fid.low > 20 * real.fid.high
    assert found.kid.low > real.kid.high
    assert found.diversity.high < real.diversity.low


def test_copies_of_training_pictures_look_real_in_all_but_their_distance_to_them(real):
    found = measured(shuffled(support.digits().train).floats()[:N])
    assert found.fid.low < real.fid.high
    assert found.kid.low < real.kid.high
    assert found.precision.value == 1
    assert found.nearest.high == pytest.approx(0, abs=1e-3)
    assert found.modes.value == 10


def test_noise_is_bad_in_every_way(real):
    noise = torch.rand(N, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = measured(noise)
    assert found.fid.low > 20 * real.fid.high
    assert found.kid.low > real.kid.high
    assert found.precision.high < 0.5 * real.precision.low
    assert found.recall.high < 0.2
    assert found.coverage.high < 0.1
    assert found.nearest.low > 2
    assert found.confident.high < real.confident.low


def test_more_noise_is_worse(real):
    test = shuffled(support.digits().test).floats()[:N]
    noise = torch.randn(test.shape, generator=torch.Generator().manual_seed(0))
    order = [real, *(measured((test + strength * noise).clamp(-1, 1)) for strength in (0.3, 0.6))]
    assert [m.fid.value for m in order] == sorted(m.fid.value for m in order)
    assert [m.precision.value for m in order] == sorted((m.precision.value for m in order), reverse=True)


def test_accuracy_is_of_the_labels_that_were_asked_for():
    test = support.digits().test.subset(torch.arange(N))
    wrong = test.labels.clone()
    wrong[:50] = (wrong[:50] + 1) % 10
    assert measured(test.floats(), wrong).accuracy.value == pytest.approx(0.75, abs=0.02)
    assert measured(test.floats()).accuracy is None


def test_a_seed_gives_the_same_figures_and_measure_is_what_its_parts_are():
    images = support.digits().test.floats()[:30]
    whole = measure(images, support.digits(), support.first(), resamples=10, seed=3)
    assert whole == measure_against(images, support.known(), resamples=10, seed=3)
    assert whole.fid.low <= whole.fid.value <= whole.fid.high


def test_figures_survive_json_and_every_one_has_a_title():
    found = measured(support.digits().test.floats()[:20])
    assert Measures.from_plain(json.loads(json.dumps(found.plain()))) == found
    figures = {name for name in found.plain() if name not in ("judge", "n", "modes_present")}
    assert figures == set(FIGURES)


def test_pictures_without_labels_are_measured_too(monkeypatch, tmp_path):
    monkeypatch.setenv("HEARTH_HOME", str(tmp_path))
    support.hurry(monkeypatch, 20)
    split = support.digits()
    blind = Split(*(replace(part, labels=None, class_names=()) for part in (split.train, split.test)))
    judge = judge_for(blind.train)
    found = floor(blind, judge, 100, resamples=10)
    assert found.modes_present == found.modes.value == 10  # groups
    assert found.confident is None
    assert found.accuracy is None
    zeros = measure(
        split.train.subset((split.train.labels == 0).nonzero()[:100, 0]).floats(), blind, judge, resamples=0
    )
    assert zeros.fid.value > 5 * found.fid.value


def test_too_few_samples_and_no_numbers_are_refused():
    with pytest.raises(DataError, match="1 picture"):
        measured(support.digits().test.floats()[:1])
    with pytest.raises(DataError, match="no numbers"):
        measured(torch.full((4, 1, 16, 16), float("nan")))
