"""Judges: how good, how they are kept, and what becomes of pictures without labels, in colour and of other sizes."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from decoder.errors import CheckpointFailed, TrainingError
from generators import judge as judging
from generators.errors import DataError, FeaturesMissing
from generators.judge import judge_for
from generators.judge_inception import with_inception
from generators.pictures import Pictures, as_bytes
from generators.settings import generator_settings


def load(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


support = load("judged_support")


@pytest.fixture
def hurried(monkeypatch, tmp_path):
    """Judges that learn for five steps, kept in a folder of their own."""
    support.hurry(monkeypatch, 5)
    monkeypatch.setenv("HEARTH_HOME", str(tmp_path))
    return tmp_path / "judges"


def few(channels=1, size=8, labels=True, count=40):
    images = torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    classes = torch.arange(count) % 4 if labels else None
    return Pictures(as_bytes(images), classes, ("a", "b", "c", "d") if labels else ())


def test_the_first_judge_tells_99_of_100_held_out_digits_and_its_features_have_a_fixed_scale():
    judge, split = support.first(), support.digits()
    assert judge.accuracy_on(split.test) >= 0.99
    assert judge.accuracy >= 0.99
    features = judge.features(split.train.floats())
    assert features.shape == (1400, 64)
    assert float(features.var(0).sum()) == pytest.approx(64, rel=1e-3)
    assert "64 features of a convolutional classifier of classes" in judge.name


def test_probabilities_are_of_the_classes_and_judging_leaves_no_gradients():
    judge, test = support.first(), support.digits().test.floats()[:600]
    found = judge.probabilities(test.requires_grad_())
    assert found.shape == (397, 10)
    assert torch.allclose(found.sum(1), torch.ones(397))
    assert not found.requires_grad


def test_a_judge_is_trained_once_and_then_found_where_it_is_kept(hurried, monkeypatch):
    trained = judge_for(few())
    monkeypatch.setattr(judging, "train_network", lambda *_: pytest.fail("it was trained again"))
    again = judge_for(few())
    images = few().floats()
    assert torch.equal(trained.features(images), again.features(images))
    assert trained.accuracy == again.accuracy
    (file,) = hurried.glob("*.safetensors")
    with safe_open(str(file), "pt") as kept:
        assert kept.metadata()["name"] == trained.name


def test_other_pictures_other_labels_and_another_recipe_have_judges_of_their_own(hurried, monkeypatch):
    for pictures in (few(), replace(few(), labels=few().labels.flip(0)), few(count=41)):
        judge_for(pictures)
    judge_for(few(), "second")
    support.hurry(monkeypatch, 6)
    judge_for(few())
    assert len(list(hurried.glob("*.safetensors"))) == 5


def test_training_a_judge_leaves_the_global_generator_as_it_was_and_gives_the_same_again(hurried):
    torch.manual_seed(7)
    first = judge_for(few()).features(few().floats())
    drawn = torch.rand(3)
    for file in hurried.iterdir():
        file.unlink()
    torch.manual_seed(7)
    assert torch.equal(torch.rand(3), drawn)
    assert torch.equal(judge_for(few()).features(few().floats()), first)


def test_a_damaged_file_is_no_judge_and_is_replaced(hurried):
    judge_for(few())
    (file,) = hurried.glob("*.safetensors")
    whole = {name: value.clone() for name, value in load_file(file).items()}
    file.write_bytes(file.read_bytes()[:100])
    judge_for(few())
    again = load_file(file)
    assert all(torch.equal(again[name], value) for name, value in whole.items())


def test_while_another_process_trains_it_one_waits_and_not_for_ever(hurried, monkeypatch):
    from decoder.file_lock import take

    judge_for(few())
    (file,) = hurried.glob("*.safetensors")
    kept = file.read_bytes()
    file.unlink()
    monkeypatch.setattr(judging, "WAIT_SECONDS", 0.05)
    with file.with_suffix(".lock").open("w") as lock:
        assert take(lock, 0)
        with pytest.raises(TrainingError, match="another process"):
            judge_for(few())
        file.write_bytes(kept)  # the other one has finished
        judge_for(few())


def test_a_folder_that_cannot_be_made_is_told(hurried, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HEARTH_GENERATORS_JUDGES", str(tmp_path / "file" / "judges"))
    assert generator_settings().judges_folder == tmp_path / "file" / "judges"
    with pytest.raises(CheckpointFailed, match="judges"):
        judge_for(few())


@pytest.mark.parametrize("variant", ["first", "second"])
@pytest.mark.parametrize(("channels", "size"), [(1, 8), (3, 28), (3, 64)])
def test_any_size_from_8_to_64_and_colour_can_be_judged(hurried, monkeypatch, variant, channels, size):
    support.hurry(monkeypatch, 2)
    judge = judge_for(few(channels, size), variant)
    width = {"first": 64, "second": 96}[variant]
    assert judge.features(few(channels, size).floats()).shape == (40, width)


def test_without_labels_a_judge_tells_quarter_turns_and_learns_to(monkeypatch, tmp_path):
    monkeypatch.setenv("HEARTH_HOME", str(tmp_path))
    support.hurry(monkeypatch, 60)
    ramp = torch.linspace(-1, 1, 8).expand(30, 1, 8, 8)
    noise = torch.rand(ramp.shape, generator=torch.Generator().manual_seed(0))
    judge = judge_for(Pictures(as_bytes(ramp + noise / 5)))
    assert "quarter turns (RotNet)" in judge.name
    assert judge.probabilities(ramp).shape == (30, 4)
    assert judge.accuracy > 0.95


def test_pictures_that_are_all_of_one_class_are_judged_by_turns(hurried):
    assert not judge_for(replace(few(), labels=torch.ones(40, dtype=torch.long))).by_labels


def test_one_picture_is_no_data(hurried):
    with pytest.raises(DataError, match="too few"):
        judge_for(few(count=1))


@pytest.mark.skipif(importlib.util.find_spec("torch_fidelity") is not None, reason="torch_fidelity is installed")
def test_inception_s_features_are_refused_where_they_cannot_be_had_and_it_says_what_to_do():
    with pytest.raises(FeaturesMissing, match=r"torch_fidelity is not installed.*pip install torch-fidelity.*judge"):
        with_inception(support.first())
