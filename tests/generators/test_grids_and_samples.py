"""Drawing pictures from a model, and pictures side by side in a file."""

import importlib
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from decoder.errors import RecipeError, UsageError
from generators import families
from generators.data import load_pictures
from generators.errors import ImageError, ModelError
from generators.grids import GAP, PAPER, grid_pixels, save_grid
from generators.model import DataShape, GenerativeModel
from generators.pictures import as_floats
from generators.sample import BATCH, sample
from generators.sections import DataSection
from generators.trainer_grid import draw_grid, plan_grid


@pytest.fixture(scope="module")
def toys():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))
        found = importlib.import_module("toy_families_support")
        patch.setattr(families, "FAMILIES", dict(families.FAMILIES))
        found.install()
        yield found


@pytest.fixture(scope="module")
def digits():
    return load_pictures(DataSection(size=8))


@dataclass(frozen=True)
class Nothing:
    pass


class Echo(GenerativeModel):
    """Gives back what it was asked for, and remembers it."""

    family, Config, hears = "echo", Nothing, ("labels", "captions")

    def __init__(self, shape):
        super().__init__(Nothing(), shape)
        self.layer, self.asked = torch.nn.Dropout(0.5), []

    def sample(self, conditions, generator, **options):
        assert not self.training and not self.layer.training and not torch.is_grad_enabled()
        self.asked.append(conditions)
        if conditions.images is not None:
            return -conditions.images.repeat(1, self.shape.target_channels, 1, 1)
        return torch.randn(conditions.count, 1, 4, 4, generator=generator)


def test_labels_take_turns_over_batches_and_the_model_is_as_it_was_afterwards():
    model = Echo(DataShape(1, 4, ("a", "b", "c")))
    model.train()
    model.layer.eval()
    drawn = sample(model, BATCH + 7, seed=1)
    assert drawn.shape == (BATCH + 7, 1, 4, 4) and drawn.abs().max() <= 1 and not drawn.requires_grad
    labels = torch.cat([asked.labels for asked in model.asked])
    assert [asked.count for asked in model.asked] == [BATCH, 7] and labels.tolist() == [i % 3 for i in range(BATCH + 7)]
    assert model.training and not model.layer.training


def test_equal_seeds_draw_equal_pictures_whatever_was_drawn_before():
    model = Echo(DataShape(1, 4))
    first = sample(model, 3, seed=1)
    torch.rand(5)
    assert torch.equal(sample(model, 3, seed=1), first) and not torch.equal(sample(model, 3, seed=2), first)


def test_one_caption_is_for_all_and_several_are_one_each():
    model = Echo(DataShape(1, 4))
    sample(model, 2, captions="a seven")
    sample(model, 2, captions=["one", "two"])
    assert [asked.captions for asked in model.asked] == [("a seven", "a seven"), ("one", "two")]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"count": 0}, "0 pictures"),
        ({"count": 2, "labels": [1]}, "1 labels given"),
        ({"count": 2, "labels": [1, 3]}, "labels .*3.* do not fit.*classes 0 to 2"),
        ({"count": 2, "captions": ["one"]}, "1 captions given"),
        ({"count": 2, "images": torch.zeros(3, 1, 4, 4)}, "3 images given"),
    ],
)
def test_what_does_not_fit_is_refused(asked, words):
    with pytest.raises(UsageError, match=words):
        sample(Echo(DataShape(1, 4, ("a", "b", "c"))), **asked)


def test_labels_for_a_model_without_classes_are_refused():
    with pytest.raises(UsageError, match="echo draws by none"):
        sample(Echo(DataShape(1, 4)), 1, labels=[0])


def test_what_a_model_is_deaf_to_is_refused_and_never_asked_by_a_grid(digits):
    class Deaf(Echo):
        hears = ()

    model = Deaf(DataShape.of(digits.test))
    sample(model, 2)
    assert model.asked[0].labels is None and model.asked[0].captions == ()
    for asked in ({"labels": [0, 1]}, {"captions": "a three"}):
        with pytest.raises(UsageError, match="echo draws by none"):
            sample(model, 2, **asked)
    plan = plan_grid(model.shape, digits.test, model.hears)
    assert (plan.count, plan.labels, plan.captions) == (64, None, ())


def test_a_folder_without_a_model_is_named_and_an_option_that_is_unknown(tmp_path, toys, digits):
    with pytest.raises(ModelError, match=str(tmp_path)):
        sample(tmp_path, 1)
    model = toys.ToyAutoencoder.build(toys.AutoencoderConfig(), digits.train)
    model.save(tmp_path / "model")
    assert torch.equal(sample(tmp_path, 3), sample(tmp_path / "model", 3))
    with pytest.raises(RecipeError, match=r"sampling\.scal is unknown. Did you mean scale"):
        sample(tmp_path, 1, scal=2)


# Grids


def test_a_grid_goes_row_by_row_with_whole_enlarged_pixels_and_gaps(tmp_path):
    images = torch.linspace(-1, 1, 5)[:, None, None, None].expand(5, 1, 16, 16)
    with Image.open(save_grid(images, tmp_path / "deep" / "grid.png", columns=3)) as grid:
        assert grid.mode == "L" and grid.size == (3 * 48 + 4 * GAP, 2 * 48 + 3 * GAP)
        cells = [grid.getpixel((GAP + x * (48 + GAP) + 47, GAP + y * (48 + GAP))) for y in (0, 1) for x in (0, 1, 2)]
        assert cells == [0, 64, 128, 191, 255, PAPER] and grid.getpixel((0, 0)) == PAPER
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["grid.png"]


def test_colour_is_kept_large_pictures_are_not_enlarged_and_what_is_no_number_is_black():
    images = torch.zeros(1, 3, 64, 64)
    images[0, 0], images[0, 2, 0, 0] = 1.0, float("nan")
    pixels = grid_pixels(images)
    assert pixels.shape == (64 + 2 * GAP, 64 + 2 * GAP, 3)
    assert pixels[GAP, GAP].tolist() == [255, 128, 0] and pixels[GAP + 1, GAP + 1].tolist() == [255, 128, 128]


@pytest.mark.parametrize("shape", [(0, 1, 4, 4), (4, 4), (1, 2, 4, 4)])
def test_what_is_no_pictures_makes_no_grid(tmp_path, shape):
    with pytest.raises(ImageError, match="a grid is made of pictures"):
        save_grid(torch.zeros(shape), tmp_path / "grid.png")


def test_a_grid_has_a_row_a_class_or_held_out_captions_or_translations_beside_their_sources(digits, tmp_path):
    test = replace(digits.test, captions=tuple(f"number {i}" for i in range(len(digits.test))))
    assert plan_grid(DataShape.of(digits.test), digits.test).labels.view(10, 8).tolist() == [[i] * 8 for i in range(10)]
    assert plan_grid(DataShape.of(test), test).captions == test.captions[:64]
    assert plan_grid(DataShape(1, 8), replace(digits.test, labels=None)).count == 64
    paired = replace(digits.test, targets=digits.test.images.expand(-1, 3, -1, -1))
    shape = DataShape.of(paired)
    plan = plan_grid(shape, paired)
    assert torch.equal(plan.images, as_floats(paired.images[:8])) and len(plan.targets) == 8
    with Image.open(draw_grid(Echo(shape), plan, 0, {}, tmp_path / "grid.png")) as grid:
        assert grid.mode == "RGB" and grid.size == (8 * 50 + 2, 3 * 50 + 2)  # source, translation, target
    apart = plan_grid(shape, replace(paired, paired=False))
    assert apart.targets is None and len(apart.images) == 8
