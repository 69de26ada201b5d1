"""What `sample` is asked for is heeded or refused by name, by every family, and never quietly left out."""

import pytest
import torch

from decoder.errors import RecipeError, UsageError
from generators.families import family_class, family_config
from generators.pictures import Pictures
from generators.sample import sample
from generators.trainer_grid import draw_grid, plan_grid

UNET = {"unet": {"channels": [8], "groups": 4}}
UNCONDITIONAL = [("vae", {"hidden": 8}, {}), ("dcgan", {"width": 8}, {}), ("stylegan", {"width": 8}, {})] + [
    (family, {**UNET, "conditional": False}, {"steps": 2}) for family in ("ddpm", "flow_matching")
]


def built(family, values, labelled=True):
    torch.manual_seed(0)
    images = torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8)
    labels, names = (torch.arange(4) % 2, ("a", "b")) if labelled else (None, ())
    pictures = Pictures(images, labels, names)
    return family_class(family).build(family_config(family, values), pictures), pictures


@pytest.mark.parametrize(("family", "values", "options"), UNCONDITIONAL)
def test_a_model_that_takes_no_labels_draws_without_and_refuses_them(family, values, options, tmp_path):
    """Also where its pictures had some: a run's grids are of such models, too."""
    model, pictures = built(family, values)
    assert model.hears == () and model.shape.classes
    assert sample(model, 3, **options).shape == (3, 1, 8, 8)
    assert draw_grid(model, plan_grid(model.shape, pictures, model.hears), 0, options, tmp_path / "grid.png").exists()
    with pytest.raises(UsageError, match="draws by none"):
        sample(model, 1, labels=[1], **options)


@pytest.mark.parametrize(
    ("family", "asked"),
    [
        *(("ddpm", {"steps": steps}) for steps in (0, 2.5, "many", True)),
        *(("ddpm", {"guidance_scale": scale}) for scale in (-1, float("nan"), "2")),
        *(("flow_matching", {"guidance_interval": interval}) for interval in (3, ["a", "b"], [0.5, 0.1])),
        ("ddpm", {"eta": "some"}),
        *(("vae", {"temperature": temperature}) for temperature in (-1, float("nan"), "hot")),
        ("dcgan", {"truncation": float("inf")}),
    ],
)
def test_an_option_of_another_kind_or_out_of_range_is_refused_by_name(family, asked):
    model, _ = built(family, UNET if family in ("ddpm", "flow_matching") else {})
    with pytest.raises(RecipeError, match=rf"sampling\.{next(iter(asked))}"):
        sample(model, 1, **asked)


@pytest.mark.parametrize("family", ["ddpm", "flow_matching"])
def test_guidance_without_classes_is_refused(family):
    model, _ = built(family, UNET, labelled=False)
    with pytest.raises(RecipeError, match="no classes to be guided by"):
        sample(model, 1, steps=1, guidance_scale=2.0)
    assert sample(model, 1, steps=1, guidance_scale=1.0).shape == (1, 1, 8, 8)
