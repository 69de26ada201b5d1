import importlib.util
import json
from pathlib import Path

import pytest
import torch

from decoder.errors import RecipeError
from generators.errors import DataError, ModelError, SchedulerError
from generators.families import family_class, family_config
from generators.model import Conditions, load_model
from generators.pictures import Pictures
from generators.recipe import load_recipe

spec = importlib.util.spec_from_file_location("latent_support", Path(__file__).with_name("latent_support.py"))
support = importlib.util.module_from_spec(spec)
spec.loader.exec_module(support)
squares_and_bars, tiny_latent = support.squares_and_bars, support.tiny_latent

pytestmark = pytest.mark.filterwarnings("ignore:.*requires torchvision.*")


NAMES = ("a square", "the tall bar")


def plain_pipeline(folder):
    from diffusers import StableDiffusionPipeline

    found = StableDiffusionPipeline.from_pretrained(
        str(folder), safety_checker=None, requires_safety_checker=False, local_files_only=True
    )
    found.set_progress_bar_config(disable=True)
    return found


@pytest.fixture(scope="module")
def trained():
    """Each stage for a few steps."""
    model, pictures = tiny_latent(), squares_and_bars()
    torch.manual_seed(1)
    for progress in (0.0, 0.5):
        (phase,) = model.phases(progress)
        model.before(phase.name, pictures)
        weights = [p for part in phase.parts for p in getattr(model, part).parameters()]
        optimizer = torch.optim.Adam(weights, 3e-3)
        for _ in range(5):
            optimizer.zero_grad()
            model(phase.name, pictures.batch(torch.randint(32, (8,))))["loss"].backward()
            optimizer.step()
    return model.eval()


@pytest.fixture(scope="module")
def folder(trained, tmp_path_factory):
    place = tmp_path_factory.mktemp("model")
    trained.save(place)
    return place


def test_the_autoencoder_is_trained_alone_for_its_share_and_the_others_after_it():
    model = tiny_latent(autoencoder_share=0.3)
    assert [phase.parts for phase in model.phases(0.0) + model.phases(0.299)] == [("vae",), ("vae",)]
    assert [phase.parts for phase in model.phases(0.3) + model.phases(1.0)] == [("unet", "text_encoder")] * 2


def test_the_autoencoders_learning_rate_falls_to_nothing_over_its_own_share():
    model = tiny_latent(autoencoder_share=0.4)
    rates = [model.phases(progress)[0].learning_rate for progress in (0.0, 0.2, 0.399)]
    base = model.config.autoencoder.learning_rate
    assert rates[0] == base and rates[1] == pytest.approx(base / 2) and rates[2] < 1e-4 * base


def test_scaled_latents_have_unit_variance(trained):
    with torch.no_grad():
        latents = trained.vae.encode(squares_and_bars().floats()).latent_dist.sample()
    fresh = tiny_latent(seed=3)
    fresh.before("denoiser", squares_and_bars())
    with torch.no_grad():
        unmeasured = fresh.vae.encode(squares_and_bars().floats()).latent_dist.sample()
    assert (unmeasured * fresh.scaling_factor).std().item() == pytest.approx(1, abs=0.1)
    assert latents.std() > 0 and trained.scaling_factor != 1


def test_the_denoisers_loss_moves_the_unet_and_the_text_encoder_and_leaves_the_autoencoder():
    model = tiny_latent()
    model.loss("denoiser", squares_and_bars().batch(torch.arange(8)))["loss"].backward()
    moved = {name.split(".")[0] for name, weight in model.named_parameters() if weight.grad is not None}
    assert moved == {"unet", "text_encoder"}


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_the_loss_is_the_squared_error_of_what_the_unet_shall_tell(prediction, monkeypatch):
    """A U-Net that tells nothing is off by the whole target, whose variance is 1 for unit latents, noise or v."""
    model = tiny_latent(prediction=prediction)
    pictures = squares_and_bars(256)
    model.before("denoiser", pictures)
    monkeypatch.setattr(model.unet.conv_out, "weight", torch.nn.Parameter(torch.zeros_like(model.unet.conv_out.weight)))
    torch.nn.init.zeros_(model.unet.conv_out.bias)
    with torch.no_grad():
        loss = model.loss("denoiser", pictures.batch(torch.arange(256)))["loss"]
    assert loss.item() == pytest.approx(1, abs=0.25)


def test_captions_are_emptied_at_the_share_that_is_told():
    model = tiny_latent(caption_dropout=0.1)
    torch.manual_seed(0)
    kept = model._dropped(("a square",) * 20_000)
    assert set(kept) == {"a square", ""}
    assert kept.count("") / len(kept) == pytest.approx(0.1, abs=0.007)
    assert "" not in tiny_latent(caption_dropout=0.0)._dropped(("a square",) * 100)


def test_a_saved_one_draws_in_plain_diffusers_what_it_draws_here_to_the_bit(trained, folder):
    noise = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(5))
    captions = ["a square", "the tall bar"]
    ours = trained.sample(
        Conditions(2, captions=tuple(captions)), torch.Generator().manual_seed(5), steps=4, guidance_scale=3.0
    )
    told = plain_pipeline(folder)(captions, latents=noise, num_inference_steps=4, guidance_scale=3.0, output_type="pt")
    assert torch.equal(ours, told.images * 2 - 1)


def test_a_saved_one_comes_back_whole(trained, folder):
    again = load_model(folder)
    assert torch.equal(again.scaling_factor, trained.scaling_factor)
    assert again.words == trained.words and again.captions == trained.captions
    asked = Conditions(3, labels=torch.tensor([0, 1, 1]))
    drawn = [model.sample(asked, torch.Generator().manual_seed(2), steps=3) for model in (trained, again)]
    assert torch.equal(*drawn) and drawn[0].shape == (3, 1, 8, 8)


def test_the_folder_says_what_it_is_and_holds_safetensors_alone(folder):
    text = (folder / "README.md").read_text()
    assert "8 x 8 pixels" in text and "a, bar, square, tall, the" in text
    assert json.loads((folder / "vae/config.json").read_text())["scaling_factor"] != 0.18215
    assert {file.suffix for file in folder.rglob("*") if file.is_file()} == {".json", ".md", ".safetensors"}


def test_a_folder_without_a_parts_weights_is_no_model(trained, tmp_path):
    trained.save(tmp_path)
    (tmp_path / "unet/diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ModelError, match="holds no model that can be loaded"):
        load_model(tmp_path)


def test_an_unknown_word_is_refused_before_anything_is_drawn(trained):
    with pytest.raises(ModelError, match="does not know: wolf"):
        trained.sample(Conditions(1, captions=("a wolf",)), torch.Generator())
    with pytest.raises(ModelError, match="does not know: ugly"):
        trained.sample(Conditions(1, captions=("a square",)), torch.Generator(), negative="ugly")


def test_labels_stand_for_captions_of_training_and_without_any_the_classes_take_turns(trained):
    assert trained._some_captions(Conditions(3, labels=torch.tensor([1, 0, 1]))) == [NAMES[1], NAMES[0], NAMES[1]]
    assert sorted(set(trained._some_captions(Conditions(4)))) == sorted(NAMES)


def test_unknown_sampling_options_are_refused(trained):
    with pytest.raises(RecipeError, match="Did you mean guidance_scale"):
        trained.sample(Conditions(1), torch.Generator(), guidance=3.0)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"channels": [8, 8], "attention": [True]}, "attention for 2 levels"),
        ({"channels": [8] * 4, "attention": [True] * 4}, "cannot be halved 3 times"),
        ({"heads": 3}, "does not divide"),
        ({"autoencoder_share": 1.0}, "autoencoder_share is 1.0"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(values, told):
    with pytest.raises(RecipeError, match=told):
        tiny_latent(**values)


def test_a_noise_that_latents_cannot_be_drawn_back_from_is_refused_when_it_is_built():
    with pytest.raises(SchedulerError, match="a schedule that ends in noise"):
        tiny_latent(schedule="squaredcos_cap_v2", prediction="epsilon")
    assert tiny_latent(schedule="squaredcos_cap_v2", prediction="v_prediction")


@pytest.mark.parametrize(("name", "steps"), [("lcm", 4), ("ddim", 2000), ("eular", 4)])
def test_a_scheduler_that_does_not_fit_is_refused(trained, name, steps):
    with pytest.raises((SchedulerError, RecipeError)):
        trained.sample(Conditions(2), torch.Generator(), scheduler=name, steps=steps)


def test_pictures_without_captions_are_refused():
    cls = family_class("latent_text_to_image")
    with pytest.raises(DataError, match="no captions"):
        cls.build(family_config(cls.family, {}), Pictures(torch.zeros(4, 1, 16, 16, dtype=torch.uint8)))


def test_image_to_image_and_inpainting_run_from_the_folder_in_plain_diffusers(folder):
    from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline

    parts = plain_pipeline(folder).components
    start = torch.zeros(1, 1, 8, 8)
    for kind, more in (
        (StableDiffusionImg2ImgPipeline, {}),
        (StableDiffusionInpaintPipeline, {"mask_image": torch.ones(1, 1, 8, 8), "height": 8, "width": 8}),
    ):
        pipeline = kind(**parts, requires_safety_checker=False)
        pipeline.set_progress_bar_config(disable=True)
        generator = torch.Generator().manual_seed(0)
        made = pipeline("a square", image=start, strength=0.8, num_inference_steps=5, generator=generator, **more)
        assert made.images[0].size == (8, 8)


@pytest.mark.parametrize(
    "name", ["text_to_image-digits", "text_to_image-tiles", "autoencoder_kl-digits", "vqvae-digits"]
)
def test_the_recipes_that_ship_fit_their_families_and_their_pictures(name):
    recipe = load_recipe(name)
    cls, size, channels = family_class(recipe.family), recipe.data.size, recipe.data.channels
    pictures = Pictures(torch.zeros(2, channels, size, size, dtype=torch.uint8), captions=("a three", "a wolf"))
    model = cls.build(family_config(recipe.family, recipe.model), pictures)
    drawn = model.eval().sample(Conditions(1), torch.Generator(), **recipe.evaluation.sampling)
    assert drawn.shape == (1, channels, size, size)
