"""DDPM: its loss, its drawings with a perfect network, and what is saved."""

import pytest
import torch
from diffusers import DDIMPipeline, DDPMPipeline

from decoder.errors import RecipeError
from generators.ddpm import Ddpm, DdpmConfig
from generators.ddpm_export import export_pipeline
from generators.diffusion_network import UNetConfig
from generators.errors import ModelError, SchedulerError
from generators.model import Conditions, DataShape, load_model
from generators.pictures import Batch, Pictures

pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")  # diffusers

TINY = UNetConfig(channels=(8, 8), groups=4)
SHAPE = DataShape(1, 8, ("a", "b", "c"))


def tiny(shape=SHAPE, **keys):
    torch.manual_seed(0)
    unet = UNetConfig(channels=(8, 8), groups=4, patch=keys.pop("patch", 1))
    return Ddpm(DdpmConfig(unet=unet, **keys), shape).eval()


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class Knows(torch.nn.Module):
    """A network that knows the one picture there is, and predicts as `kind`."""

    def __init__(self, model, picture):
        super().__init__()
        self.model, self.picture, self.no_label = model, picture, 3
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def forward(self, noisy, times, labels=None):
        from generators.diffusion_process import scales, target

        a, s = scales(self.model.alpha_bar, times.expand(len(noisy)).long())
        clean = self.picture.expand_as(noisy)
        return target(self.model.config.prediction, clean, (noisy - a * clean) / s, a, s)


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("schedule", ["linear", "squaredcos_cap_v2"])
def test_a_network_that_knows_the_picture_has_no_loss_and_draws_it(prediction, schedule):
    model, picture = tiny(prediction=prediction, schedule=schedule), torch.rand(1, 1, 8, 8) * 1.6 - 0.8
    model.network = Knows(model, picture)
    batch = Batch(picture.repeat(6, 1, 1, 1), torch.tensor([0, 1, 2, 0, 1, 2]))
    assert model.loss("denoise", batch)["loss"].item() < 1e-4
    for scheduler, steps in (("ddim", 1), ("ddim", 7), ("dpm++", 10), ("ddpm", 50)):
        found = model.sample(Conditions(3), seeded(), scheduler=scheduler, steps=steps)
        assert torch.allclose(found, picture.expand(3, -1, -1, -1), atol=0.03)


def test_the_loss_is_that_of_the_prediction_at_the_times_drawn():
    model = tiny(prediction="epsilon", label_dropout=0.0)
    with torch.no_grad():
        for weight in model.network.unet.conv_out.parameters():
            weight.zero_()
    torch.manual_seed(1)
    found = model.loss("denoise", Batch(torch.zeros(512, 1, 8, 8), torch.zeros(512).long()))["loss"]
    assert found.item() == pytest.approx(1.0, abs=0.03)  # a network that says 0 of unit noise


def test_min_snr_changes_the_loss_and_logs_the_plain_one():
    batch = Batch(torch.zeros(8, 1, 8, 8), torch.zeros(8).long())
    torch.manual_seed(1)
    plain = tiny().loss("denoise", batch)
    torch.manual_seed(0)
    model = tiny(min_snr_gamma=5.0)
    weighted = model.loss("denoise", batch)
    assert set(weighted) == {"loss", "unweighted"}
    assert weighted["loss"].item() < weighted["unweighted"].item()
    assert set(plain) == {"loss"}


def test_a_few_steps_of_training_lower_the_loss():
    model = tiny(patch=2).train()
    optimizer = torch.optim.AdamW(model.network.parameters(), 3e-3)
    images = torch.where(torch.arange(8) < 4, -1.0, 1.0).expand(16, 1, 8, 8)
    losses = []
    for _ in range(40):
        loss = model.loss("denoise", Batch(images, torch.arange(16) % 3))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.75 * sum(losses[:10])


def test_equal_states_of_the_generator_draw_equal_pictures():
    model = tiny()
    options = {"steps": 3, "guidance_scale": 2.0, "eta": 0.5}
    first, again, other = (model.sample(Conditions(4), seeded(s), **options) for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (4, 1, 8, 8)
    assert float(first.abs().max()) <= 1


def test_the_unguided_pictures_are_the_conditional_models():
    model = tiny()
    with torch.no_grad():
        model.network.unet.class_embedding.weight.mul_(3)
    asked = Conditions(3, torch.tensor([0, 1, 2]))
    unguided = model.sample(asked, seeded(), steps=3, guidance_scale=1.0)
    nearly = model.sample(asked, seeded(), steps=3, guidance_scale=1.0 + 1e-5)
    outside = model.sample(asked, seeded(), steps=3, guidance_scale=5.0, guidance_interval=(1.0, 1.0))
    assert torch.allclose(unguided, nearly, atol=1e-3)
    assert not torch.allclose(unguided, outside, atol=1e-3)


@pytest.mark.parametrize("patch", [1, 2])
def test_saving_and_loading_is_bit_exact(patch, tmp_path):
    model = tiny(patch=patch, schedule="linear", prediction="epsilon")
    model.save(tmp_path)
    loaded = load_model(tmp_path)
    assert loaded.config == model.config
    expected, found = (m.sample(Conditions(3), seeded(), steps=4) for m in (model, loaded))
    assert torch.equal(expected, found)
    assert not (tmp_path / "pipeline").exists()  # diffusers' unconditional pipelines take no classes


def test_a_model_without_classes_is_also_a_pipeline_of_plain_diffusers(tmp_path):
    model = tiny(DataShape(1, 8), prediction="epsilon")
    model.save(tmp_path)
    ancestral = DDPMPipeline.from_pretrained(tmp_path / "pipeline")
    ancestral.set_progress_bar_config(disable=True)
    assert ancestral(batch_size=2, num_inference_steps=3, output_type="np", generator=seeded()).images.shape[0] == 2
    pipeline = DDIMPipeline.from_pretrained(tmp_path / "pipeline")
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = type(pipeline.scheduler).from_config(pipeline.scheduler.config, timestep_spacing="trailing")
    found = pipeline(
        batch_size=2, num_inference_steps=10, use_clipped_model_output=True, output_type="np", generator=seeded()
    ).images
    expected = model.sample(Conditions(2), seeded(), steps=10).permute(0, 2, 3, 1).numpy() / 2 + 0.5
    assert abs(found - expected).max() < 1e-4


def test_a_model_with_classes_or_patches_is_no_such_pipeline(tmp_path):
    for model in (tiny(), tiny(DataShape(1, 8), patch=2)):
        with pytest.raises(ModelError, match="no labels and no patches"):
            export_pipeline(model, tmp_path)


def test_the_held_out_loss_is_equal_for_equal_generators():
    pictures = Pictures(torch.randint(0, 255, (9, 1, 8, 8)).to(torch.uint8), torch.arange(9) % 3, ("a", "b", "c"))
    model = tiny()
    assert model.evaluate(pictures, seeded()) == model.evaluate(pictures, seeded())
    assert set(model.evaluate(pictures, seeded())) == {"denoising_loss"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"step": 3}, "steps"),
        ({"steps": 0}, "steps"),
        ({"eta": 2.0}, "eta"),
        ({"eta": 0.5, "scheduler": "dpm++"}, "eta"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options, said):
    with pytest.raises(RecipeError, match=said):
        tiny().sample(Conditions(1), seeded(), **{"steps": 3, **options})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scheduler": "ddimm"}, "ddim"),
        ({"scheduler": "lcm"}, "distilled"),
        ({"scheduler": "flow_euler"}, "diffusion"),
        ({"scheduler": "dpm++-karras"}, "use_karras_sigmas"),
        ({"steps": 1001}, "more steps"),
    ],
)
def test_schedulers_that_do_not_fit_are_refused_before_drawing(options, said):
    with pytest.raises(SchedulerError, match=said):
        tiny().sample(Conditions(1), seeded(), **options)


@pytest.mark.parametrize(
    ("unet", "said"),
    [({"channels": (8, 8, 8, 8, 8)}, "halved"), ({"patch": 3}, "patches"), ({"channels": (10,)}, "groups")],
)
def test_a_network_that_does_not_fit_the_pictures_is_refused(unet, said):
    with pytest.raises(RecipeError, match=said):
        Ddpm(DdpmConfig(unet=UNetConfig(**unet)), SHAPE)


def test_labels_are_checked():
    for labels in (torch.tensor([0]), torch.tensor([0, 3])):
        with pytest.raises(RecipeError, match="from 0 to 2"):
            tiny().sample(Conditions(2, labels), seeded(), steps=2)
    with pytest.raises(RecipeError, match="knows none"):
        tiny(DataShape(1, 8)).sample(Conditions(2, torch.tensor([0, 1])), seeded(), steps=2)
