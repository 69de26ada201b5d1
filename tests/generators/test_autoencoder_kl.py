import importlib.util
import math
from pathlib import Path

import pytest
import torch

from decoder.errors import RecipeError
from generators.autoencoder_kl import AutoencoderLoss
from generators.families import family_class, family_config
from generators.model import Conditions, DataShape, load_model

spec = importlib.util.spec_from_file_location("latent_support", Path(__file__).with_name("latent_support.py"))
support = importlib.util.module_from_spec(spec)
spec.loader.exec_module(support)
squares_and_bars = support.squares_and_bars

TINY = {"channels": [8, 8], "latent_channels": 2, "norm_groups": 4}


def build(**values):
    torch.manual_seed(0)
    cls = family_class("autoencoder_kl")
    return cls.build(family_config(cls.family, {**TINY, **values}), squares_and_bars())


def train(model, steps, rate=1e-2):
    optimizer = torch.optim.Adam(model.vae.parameters(), rate)
    pictures, losses = squares_and_bars(), []
    for _ in range(steps):
        found = model.loss("autoencoder", pictures.batch(torch.randint(len(pictures), (16,))))
        optimizer.zero_grad()
        found["loss"].backward()
        optimizer.step()
        losses.append(found["loss"].item())
    return losses


def test_the_kl_is_that_of_torchs_gaussians_summed_over_the_latents_in_nats():
    model, batch = build(perceptual="none"), squares_and_bars().batch(torch.arange(4))
    torch.manual_seed(1)
    found = model.loss("autoencoder", batch)
    with torch.no_grad():
        posterior = model.vae.encode(batch.images).latent_dist
        told = torch.distributions.Normal(posterior.mean, posterior.std)
        known = torch.distributions.kl_divergence(told, torch.distributions.Normal(0.0, 1.0)).sum((1, 2, 3)).mean()
    assert found["kl"].item() == pytest.approx(known.item(), rel=1e-5)
    total = found["reconstruction"] + model.config.kl_weight * known / posterior.mean[0].numel()
    assert found["loss"].item() == pytest.approx(total.item(), rel=1e-6)


@pytest.mark.parametrize("perceptual", ["none", "pyramid", "random"])
def test_a_few_steps_lower_the_loss_with_every_perceptual_distance(perceptual):
    losses = train(build(perceptual=perceptual), 15)
    assert sum(losses[-3:]) < 0.7 * sum(losses[:3])


def test_a_weight_of_the_kl_that_is_large_brings_the_latents_to_the_standard_normal():
    heavy = build(kl_weight=10.0, perceptual="none")
    light = build(kl_weight=0.0, perceptual="none")
    train(heavy, 15)
    train(light, 15)
    assert heavy.evaluate(squares_and_bars(), torch.Generator())["kl"] < 1
    assert light.evaluate(squares_and_bars(), torch.Generator())["kl"] > 10


def test_psnr_is_of_a_peak_of_two_and_the_mean_squared_error():
    model, pictures = build(), squares_and_bars()
    with torch.no_grad():
        made = model.vae.decode(model.vae.encode(pictures.floats()).latent_dist.mode()).sample
    figures = model.evaluate(pictures, torch.Generator())
    squared = (made - pictures.floats()).square().mean().item()
    assert figures["psnr"] == pytest.approx(10 * math.log10(4 / squared), rel=1e-4)
    assert figures["reconstruction"] == pytest.approx((made - pictures.floats()).abs().mean().item(), rel=1e-4)


def test_drawn_latents_have_the_mean_and_the_covariance_that_were_followed():
    model = build()
    spread = torch.randn(32, 32)
    model.latent_covariance.copy_(spread @ spread.T / 32)
    drawn = model._spread(torch.randn(20_000, 32))
    assert (torch.cov(drawn.T) - model.latent_covariance).abs().max() < 0.1


def test_it_reconstructs_what_it_is_given_and_draws_equally_for_equal_seeds():
    model, pictures = build().eval(), squares_and_bars(4)
    drawn = [model.sample(Conditions(3), torch.Generator().manual_seed(7)) for _ in range(2)]
    assert drawn[0].shape == (3, 1, 8, 8) and torch.equal(*drawn)
    given = model.sample(Conditions(4, images=pictures.floats()), torch.Generator())
    with torch.no_grad():
        known = model.vae.decode(model.vae.encode(pictures.floats()).latent_dist.mode()).sample.clamp(-1, 1)
    assert torch.equal(given, known)


def test_a_saved_one_draws_the_same(tmp_path):
    model = build().eval()
    train(model, 2)
    model.save(tmp_path)
    again = load_model(tmp_path)
    asked = Conditions(3), torch.Generator().manual_seed(1)
    assert torch.equal(again.sample(*asked), model.sample(asked[0], torch.Generator().manual_seed(1)))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"channels": [8, 8, 8, 8]}, "cannot be halved 3 times"),
        ({"norm_groups": 3}, "norm_groups 3 does not divide"),
    ],
)
def test_what_does_not_fit_the_pictures_or_itself_is_refused(values, told):
    with pytest.raises(RecipeError, match=told):
        build(**values)


def test_the_loss_of_random_features_trains_no_parameters_of_its_own():
    model = build(perceptual="random")
    assert isinstance(model._objective, AutoencoderLoss)
    assert {name.split(".")[0] for name, _ in model.named_parameters()} == {"vae"}
    assert DataShape.of(squares_and_bars()).channels == 1
