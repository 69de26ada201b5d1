"""evaluate: a run's model is drawn from, measured by both judges beside the floors, and it is written down."""

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from decoder.errors import RecipeError
from decoder.runs.folder import RunFolder
from generators import families
from generators.errors import FeaturesMissing, ModelError
from generators.evaluate import evaluate, read_evaluation, to_markdown
from generators.families import FamilyEntry
from generators.metrics import FIGURES, Measures
from generators.model import GenerativeModel, Phase, check_options
from generators.train import train


def load(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # families are found by their module's name
    spec.loader.exec_module(module)
    return module


support, toy = load("judged_support"), load("toy_families_support")


class Fill(GenerativeModel):
    """A translator that learns one number."""

    family = "toy_fill"
    Config = toy.AutoencoderConfig

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.net = torch.nn.Conv2d(shape.channels, shape.target_channels, 1)

    def phases(self, progress):
        return (Phase("all", ("net",), 1e-2),)

    def loss(self, phase, batch):
        return {"loss": (self.net(batch.images) - batch.targets).abs().mean()}

    def sample(self, conditions, generator, **options):
        check_options(options, ())
        return self.net(conditions.images)

    def evaluate(self, pictures, generator):
        return {
            "l1": float(
                (self.net(pictures.floats()) - pictures.batch(torch.arange(len(pictures))).targets).abs().mean()
            )
        }


@pytest.fixture(scope="module", autouse=True)
def small(tmp_path_factory):
    """Judges that learn for a moment, in a home of their own; toy families; no reports (test_compare looks at one)."""
    with pytest.MonkeyPatch.context() as patch:
        support.hurry(patch, 5)
        patch.setenv("HEARTH_HOME", str(tmp_path_factory.mktemp("judges")))
        for name, entry in {**toy.ENTRIES, "toy_fill": FamilyEntry(f"{__name__}:Fill", "a translator")}.items():
            patch.setitem(families.FAMILIES, name, entry)
        patch.setitem(sys.modules, __name__, SimpleNamespace(Fill=Fill))
        patch.setattr("generators.trainer_run.renew_report", lambda folder: None)
        patch.setattr("generators.report.renew_report", lambda folder: None)
        yield


def trained(tmp_path, family="toy_gan", **sections):
    sections.setdefault("evaluation", {"samples": 30})
    return train(toy.recipe(tmp_path / "run", family, **sections))


@pytest.fixture(scope="module")
def gan(tmp_path_factory, small):
    """A run, and its evaluation; copy the folder to change it."""
    folder = trained(tmp_path_factory.mktemp("gan"))
    return folder, evaluate(folder)


def copied(folder, tmp_path):
    return RunFolder(Path(shutil.copytree(folder.path, tmp_path / "copy")))


def test_a_run_is_measured_with_two_judges_beside_their_floors_and_it_is_written_down(gan):
    folder, found = gan
    assert (found.family, found.samples, found.asked) == ("toy_gan", 30, "labels")
    assert found.sampling_seconds > 0
    for judged, width in ((found.first, "64 features"), (found.second, "96 features")):
        assert width in judged.judge
        assert judged.measures.n == judged.floor.n == 30
        assert judged.measures.accuracy is not None
        assert judged.floor.nearest.value == pytest.approx(1, abs=0.4)
    written = read_evaluation(folder)
    assert written == json.loads(json.dumps(found.plain()))
    assert Measures.from_plain(written["second"]["measures"]) == found.second.measures


def test_a_run_is_named_by_its_folder_and_the_same_samples_are_drawn_again(gan, tmp_path):
    folder, found = gan
    copy = copied(folder, tmp_path)
    assert evaluate(str(copy.path)).first == found.first
    assert evaluate(copy, samples=20).samples == 20


def test_options_of_sampling_are_used_noted_and_refused_where_they_are_unknown(tmp_path):
    folder = trained(tmp_path, "toy_autoencoder", evaluation={"samples": 30, "sampling": {"scale": 0.0}})
    found = evaluate(folder)
    assert found.sampling == {"scale": 0.0}
    assert found.first.measures.diversity.value < 0.01  # all codes are 0
    # It takes no labels, and has figures of its own.
    assert (found.asked, found.first.measures.accuracy) == ("", None)
    assert found.figures["bound"] > 0
    assert evaluate(folder, sampling={}).first.measures.diversity.value > 0.02
    with pytest.raises(RecipeError, match=r"sampling\.scal.*scale"):
        evaluate(folder, sampling={"scal": 1.0})


def test_translations_are_made_of_held_out_pictures_and_compared_with_the_second_domain(tmp_path):
    folder = trained(tmp_path, "toy_fill", data={"targets": "outline"}, evaluation={"samples": 500})
    found = evaluate(folder)
    assert found.asked == "images"
    assert found.samples == found.first.floor.n < 500  # as many as are held out
    assert found.figures["l1"] > 0


def test_the_table_has_every_figure_that_there_is_with_its_interval(gan):
    text = to_markdown(gan[1])
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert "judge 1, n=30 | real, n=30 | judge 2, n=30 | real, n=30" in rows[0]
    assert len(rows) == len(FIGURES) + 1
    assert all(line.count("|") == 6 for line in rows)
    assert "s to draw 30 pictures (default options, seed 0)" in text


def test_what_cannot_be_evaluated_is_told(gan, tmp_path):
    with pytest.raises(RecipeError, match=r"recipe\.yaml"):
        evaluate(tmp_path)
    folder = copied(gan[0], tmp_path)
    (folder.model / "model.safetensors").unlink()
    with pytest.raises(ModelError):
        evaluate(folder)
    assert read_evaluation(RunFolder(tmp_path)) is None


@pytest.mark.skipif(importlib.util.find_spec("torch_fidelity") is not None, reason="torch_fidelity is installed")
def test_inception_s_features_that_are_not_there_are_an_error_and_not_another_judge_s(gan, tmp_path):
    folder = copied(gan[0], tmp_path)
    (folder.path / "evaluation.json").unlink()
    recipe = folder.path / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("features: judge", "features: inception"))
    with pytest.raises(FeaturesMissing, match="torch-fidelity"):
        evaluate(folder)
    assert read_evaluation(folder) is None
