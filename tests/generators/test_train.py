"""Runs of the one trainer, on families that train in no time: what they leave, what rules them, what they refuse."""

import importlib
import json
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from decoder.errors import RecipeError
from decoder.runs.folder import alone
from generators import families
from generators.alarms import Alarm, Sighting
from generators.errors import DataError
from generators.model import load_model
from generators.recipe import folder_of
from generators.sample import sample
from generators.train import train


@pytest.fixture(scope="module")
def toys():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))
        found = importlib.import_module("toy_families_support")
        patch.setattr(families, "FAMILIES", dict(families.FAMILIES))
        found.install()
        yield found


@pytest.fixture(autouse=True)
def no_report(monkeypatch):
    """Plots take longer than these trainings; one test here writes a report by itself."""
    monkeypatch.setattr("generators.trainer_run.renew_report", lambda folder: None)


def weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def losses(folder):
    return [{k: v for k, v in line.items() if k != "seconds"} for line in folder.metrics()]


def test_a_run_leaves_a_model_its_figures_and_grids(tmp_path, toys):
    told = []
    settings = {"max_steps": 8, "sample_every": 4, "evaluate_every": 4, "ema_decay": 0.9}
    made = toys.recipe(tmp_path / "run", training=settings, alarms=QUIET)
    folder = train(made, watch=told.append)
    state = folder.state
    assert state["status"] == "finished" and state["steps"] == 8 and state["seconds"] > 0
    assert state["parameters"] == {"encoder": 260, "decoder": 320, "all": 580}
    assert state["data"]["train"] + state["data"]["test"] in (200, 1797) and state["data"]["skipped"] == 0
    assert [line["step"] for line in folder.metrics() if "all/loss" in line] == list(range(1, 9))
    assert {"progress", "seconds", "all/learning_rate", "all/code"} <= folder.metrics()[0].keys()
    assert [line["step"] for line in folder.metrics() if "eval_bound" in line] == [4, 8]
    assert state["metrics"]["bound"] == [line for line in folder.metrics() if "eval_bound" in line][-1]["eval_bound"]
    assert sorted(p.name for p in folder.path.glob("samples/*")) == ["step-000004.png", "step-000008.png"]
    assert folder.checkpoints() == []  # nothing goes on from a run that has finished
    assert [each.step for each in told] == list(range(1, 9)) and told[-1].share == 1 and told[-1].eta_seconds == 0
    assert told[2].eta_seconds > 0 and told[4].grid.name == "step-000004.png" and "all/loss" in told[0].losses
    assert load_model(folder.model).config == toys.AutoencoderConfig()


QUIET = {"collapse": False, "posterior_collapse": False, "memorisation": False, "overfitting": False}


def test_equal_recipes_give_equal_weights_and_another_seed_others(tmp_path, toys):
    one, two, other = (
        train(toys.recipe(tmp_path / name, "toy_gan", seed=seed)) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert same(weights(one.model), weights(two.model)) and losses(one) == losses(two)
    assert not same(weights(one.model), weights(other.model))


def test_samples_and_evaluations_on_the_way_do_not_disturb_the_training(tmp_path, toys):
    for family in ("toy_gan", "toy_autoencoder"):
        settings = {"ema_decay": 0.9}
        plain = train(toys.recipe(tmp_path / family / "plain", family, training=settings))
        looked = {**settings, "sample_every": 1, "evaluate_every": 2}
        seen = train(toys.recipe(tmp_path / family / "seen", family, training=looked, alarms=QUIET))
        assert same(weights(plain.model), weights(seen.model))


def test_grids_are_drawn_of_the_same_noise_each_time(tmp_path, toys):
    still = {"learning_rate": 0.0}
    folder = train(toys.recipe(tmp_path / "run", model=still, training={"sample_every": 4}))
    first, second = (file.read_bytes() for file in sorted(folder.path.glob("samples/*")))
    assert first == second
    with Image.open(folder.path / "samples" / "step-000004.png") as grid:
        assert grid.format == "PNG" and grid.size == (8 * 50 + 2, 8 * 50 + 2)  # it draws by no class


def test_the_budget_is_of_training_steps_and_is_kept(tmp_path, toys):
    def watch(progress):
        sum(range(200_000))  # CPU time outside the steps does not count

    began = time.process_time()
    settings = {"max_steps": 0, "budget_seconds": 0.2, "learning_rate_schedule": "linear"}
    folder = train(toys.recipe(tmp_path / "run", training=settings), watch=watch)
    state, spent = folder.state, time.process_time() - began
    assert 0.2 <= state["seconds"] < 0.4 < spent
    assert state["steps"] > 10
    rates = [line["all/learning_rate"] for line in folder.metrics() if "all/learning_rate" in line]
    assert rates == sorted(rates, reverse=True) and rates[0] > 0.9e-2 and rates[-1] < 2e-3


def test_accumulated_gradients_equal_those_of_the_big_batch(tmp_path, toys):
    settings = {"max_steps": 4, "ema_decay": 0.0, "max_grad_norm": 0.5}
    model = {"noise": 0.0}
    big = train(toys.recipe(tmp_path / "big", model=model, training={**settings, "batch_size": 32}))
    parts = {**settings, "batch_size": 8, "gradient_accumulation": 4}
    small = train(toys.recipe(tmp_path / "small", model=model, training=parts))
    for name, value in weights(big.model).items():
        torch.testing.assert_close(value, weights(small.model)[name], rtol=1e-4, atol=1e-5)
    means = [[line["all/loss"] for line in folder.metrics() if "all/loss" in line] for folder in (big, small)]
    assert means[0] == pytest.approx(means[1], rel=1e-4)
    norms = [line["all/grad_norm"] for line in big.metrics() if "all/grad_norm" in line]
    assert len(norms) == 4 and norms == pytest.approx(
        [line["all/grad_norm"] for line in small.metrics() if "all/grad_norm" in line], rel=1e-3
    )


def test_each_phase_touches_its_parts_alone_and_repeats_on_other_batches(tmp_path, toys, monkeypatch):
    seen, plain = [], toys.ToyGan.loss

    def loss(self, phase, batch):
        seen.append((phase, batch.images.sum().item(), {n for n, p in self.named_parameters() if p.requires_grad}))
        return plain(self, phase, batch)

    monkeypatch.setattr(toys.ToyGan, "loss", loss)
    folder = train(toys.recipe(tmp_path / "run", "toy_gan", training={"max_steps": 8}))
    order = [phase for phase, _, _ in seen]
    assert order == ["critic"] * 4 + ["critic", "critic", "generator"] * 6  # the generator joins at a quarter
    assert all(name.startswith(phase) for phase, _, names in seen for name in names)
    assert len({total for _, total, _ in seen}) == len(seen)
    first = next(line for line in folder.metrics() if "generator/loss" in line)
    assert first["step"] == 3 and {"critic/loss", "critic/real", "critic/fake"} <= first.keys()


def test_bf16_trains_too(tmp_path, toys):
    folder = train(toys.recipe(tmp_path / "run", training={"mixed_precision": "bf16"}))
    plain = train(toys.recipe(tmp_path / "plain"))
    assert {value.dtype for value in weights(folder.model).values()} == {torch.float32}
    assert not same(weights(folder.model), weights(plain.model))
    assert losses(folder)[0]["all/loss"] == pytest.approx(losses(plain)[0]["all/loss"], rel=0.02)


def test_a_run_stops_early_and_keeps_the_best_weights(tmp_path, toys, monkeypatch):
    bounds = iter([3.0, 1.0, 2.0, 2.0, 0.5])
    kept = {}

    def evaluate(self, pictures, generator):
        kept[len(kept) + 1] = {name: value.clone() for name, value in self.state_dict().items()}
        return {"bound": next(bounds)}

    monkeypatch.setattr(toys.ToyAutoencoder, "evaluate", evaluate)
    settings = {"max_steps": 100, "evaluate_every": 2, "early_stop": 2, "ema_decay": 0.9}
    folder = train(toys.recipe(tmp_path / "run", training=settings, alarms=QUIET))
    assert folder.state["steps"] == 8 and folder.state["result_step"] == 4
    assert folder.state["ended"] == "early" and folder.state["metrics"] == {"bound": 1.0}
    assert same(weights(folder.model), kept[2])


def test_early_stopping_without_a_bound_is_refused(tmp_path, toys):
    settings = {"evaluate_every": 2, "early_stop": 2}
    made = toys.recipe(tmp_path / "run", "toy_gan", training=settings, alarms=QUIET)
    with pytest.raises(RecipeError, match="toy_gan has none"):
        train(made)


class Watch:
    """Rings at its third look."""

    def __init__(self):
        self.seen = []

    def look(self, step, progress, samples, losses, figures):
        self.seen.append((step, progress, tuple(samples.shape), sorted(losses), figures))
        rung = [Alarm("collapse", step, "3 of 10 modes are left", {"modes": 3.0})] if len(self.seen) == 3 else []
        return Sighting(rung, {})

    def state(self):
        return {"seen": len(self.seen)}

    def restore(self, state):
        self.seen = [None] * state["seen"]


def test_alarms_are_told_logged_and_end_the_run_where_the_recipe_says_so(tmp_path, toys, monkeypatch):
    for stop, steps in ((False, 8), (True, 6)):
        watch, told = Watch(), []
        monkeypatch.setattr("generators.trainer_run.open_watch", lambda recipe, split, watch=watch: watch)
        made = toys.recipe(tmp_path / str(stop), "toy_gan", training={"evaluate_every": 2}, alarms={"stop": stop})
        folder = train(made, watch=told.append)
        assert folder.state["steps"] == steps and folder.state["status"] == ("alarm" if stop else "finished")
        expected = {"kind": "collapse", "step": 6, "text": "3 of 10 modes are left", "figures": {"modes": 3.0}}
        assert folder.state["alarms"] == [expected]
        assert [line for line in folder.metrics() if "alarm" in line] == [
            {"step": 6, "alarm": "collapse", "text": "3 of 10 modes are left", "figures": {"modes": 3.0}}
        ]
        assert told[-1].alarm == "3 of 10 modes are left" and told[3].alarm == ""
        assert watch.seen[1] == (4, 0.5, (20, 1, 8, 8), watch.seen[1][3], {}) and "critic/loss" in watch.seen[1][3]
        assert (folder.model / "model.safetensors").exists()


# What is refused, before anything is written


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"model": {"latnet": 3}}, "model.latnet is unknown.*latent"),
        ({"evaluation": {"sampling": {"scal": 2}}}, "sampling.scal is unknown.*scale"),
        ({"training": {"max_steps": 0}}, "would never end"),
        ({"tracking": ["tensorbord"]}, "tensorboard"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_a_folder_is_made(tmp_path, toys, sections, words):
    with pytest.raises(RecipeError, match=words):
        train(toys.recipe(tmp_path / "run", **sections))
    assert not (tmp_path / "run").exists()


def test_a_folder_that_holds_a_run_is_gone_on_with_only_when_asked_and_with_its_own_recipe(tmp_path, toys):
    folder = train(toys.recipe(tmp_path / "run"))
    before = (folder.model / "model.safetensors").stat().st_mtime_ns
    with pytest.raises(RecipeError, match=r"already holds a run.*--resume"):
        train(toys.recipe(tmp_path / "run"))
    with pytest.raises(RecipeError, match="of another recipe"):
        train(toys.recipe(tmp_path / "run", seed=1), resume=True)
    assert train(toys.recipe(tmp_path / "run"), resume=True).state["status"] == "finished"
    assert (folder.model / "model.safetensors").stat().st_mtime_ns == before


def test_a_folder_in_which_another_process_trains_is_refused(tmp_path, toys):
    made = toys.recipe(tmp_path / "run")
    with alone(folder_of(made)), pytest.raises(RecipeError, match=r"another process .*trains in"):
        train(made)


def test_a_run_does_not_go_on_with_other_pictures_than_it_began_with(tmp_path, toys, monkeypatch):
    made = toys.recipe(tmp_path / "run")
    folder = train(made)
    folder.note(status="failed", data={**folder.state["data"], "sha256": "of others"})
    with pytest.raises(DataError, match="does not hold the pictures"):
        train(made, resume=True)


def test_tensorboard_gets_the_same_figures(tmp_path, toys):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = train(toys.recipe(tmp_path / "run", tracking=["tensorboard"], training={"max_steps": 2}))
    events = EventAccumulator(str(folder.path / "runs" / "toy"))
    events.Reload()
    said = [event.value for event in events.Scalars("train/all/loss")]
    assert said == pytest.approx([line["all/loss"] for line in folder.metrics() if "all/loss" in line])
    assert "eval/bound" in events.Tags()["scalars"]


def test_a_report_shows_the_run_alone_with_its_grids_within(tmp_path, toys):
    settings = {"sample_every": 2, "evaluate_every": 4}
    made = toys.recipe(tmp_path / "run", "toy_gan", training=settings, alarms=QUIET)
    folder = train(made)
    figures = {"judge": {"fid": {"value": 1.5, "low": 1.25, "high": 1.75}, "name": "a <judge>"}}
    measures, floor = ({"fid": {"value": value, "low": 1.0, "high": 9.0}, "n": 60} for value in (2.5, 0.5))
    figures |= {"first": {"judge": "64 features", "measures": measures, "floor": floor}}
    (folder.path / "evaluation.json").write_text(json.dumps(figures))
    folder.note(alarms=[{"kind": "collapse", "step": 4, "text": "<3 modes>", "figures": {}}])
    from generators.report import write_report

    html = write_report(folder).read_text()
    text = (folder.path / "report.md").read_text()
    assert html.count("data:image/png;base64,") == 4 and "img-src data:" in html and "<script" not in html
    assert "step 4: &lt;3 modes&gt;" in html and "1.5 [1.25, 1.75]" in html and "a &lt;judge&gt;" in html
    assert "By 64 features" in html and "<td>2.5 [1, 9]</td><td>0.5 [1, 9]</td>" in html.replace(".0", "")
    assert "| FID | 2.5 \\[1, 9\\] | 0.5 \\[1, 9\\] |" in text.replace(".0", "")
    assert html.count("<svg") == 4  # loss with both phases in one, real, fake, learning rate
    assert "critic/loss" in html and "generator/loss" in html and 'src="http' not in html
    assert "| family | toy\\_gan |" in text and "**Alarm**: step 4: &lt;3 modes>" in text
    assert "![step 8](samples/step-000008.png)" in text and "judge / fid | 1.5 \\[1.25, 1.75\\]" in text
    assert write_report(folder).read_text() == html


def test_samples_of_a_finished_run_can_be_drawn_from_its_folder(tmp_path, toys):
    folder = train(toys.recipe(tmp_path / "run", training={"ema_decay": 0.9}))
    drawn = sample(folder, 5, seed=3)
    assert drawn.shape == (5, 1, 8, 8) and torch.equal(drawn, sample(str(folder.model), 5, seed=3))
