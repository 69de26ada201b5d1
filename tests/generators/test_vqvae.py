import importlib.util
import math
from pathlib import Path

import pytest
import torch

from decoder.errors import RecipeError
from generators.families import family_class, family_config
from generators.model import Conditions, load_model
from generators.vqvae import perplexity
from generators.vqvae_prior import CodePrior

spec = importlib.util.spec_from_file_location("latent_support", Path(__file__).with_name("latent_support.py"))
support = importlib.util.module_from_spec(spec)
spec.loader.exec_module(support)
squares_and_bars = support.squares_and_bars

TINY = {
    "channels": [8, 8],
    "codes": 8,
    "code_width": 4,
    "norm_groups": 4,
    "prior_width": 16,
    "prior_layers": 1,
    "prior_heads": 2,
    "prior_dropout": 0.0,
}


def build(**values):
    torch.manual_seed(0)
    cls = family_class("vqvae")
    return cls.build(family_config(cls.family, {**TINY, **values}), squares_and_bars())


def train(model, progress, steps, rate=1e-2):
    (phase,), pictures = model.phases(progress), squares_and_bars()
    model.before(phase.name, pictures)
    optimizer = torch.optim.Adam(getattr(model, phase.parts[0]).parameters(), rate)
    found = []
    for _ in range(steps):
        losses = model(phase.name, pictures.batch(torch.randint(32, (16,))))
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
        found.append({name: value.item() for name, value in losses.items()})
    return found


@pytest.fixture(scope="module")
def trained():
    model = build()
    model.story = train(model, 0.0, 70), train(model, 0.9, 40)
    return model.eval()


def test_both_stages_learn_and_the_codebook_stays_in_use(trained):
    autoencoder, prior = trained.story
    assert autoencoder[-1]["loss"] < 0.5 * autoencoder[0]["loss"]
    assert autoencoder[-1]["used"] > 0.5 and autoencoder[-1]["perplexity"] > 2
    assert prior[0]["loss"] > 0.8 * math.log(8) and prior[-1]["loss"] < 0.5 * prior[0]["loss"]


def test_the_prior_is_trained_in_the_last_share_of_the_run():
    model = build(prior_share=0.25)
    assert [model.phases(progress)[0].name for progress in (0, 0.749, 0.75, 1)] == ["autoencoder"] * 2 + ["prior"] * 2
    assert build(prior_share=0.0).phases(1.0)[0].name == "autoencoder"


def test_every_place_gets_the_nearest_entry_and_the_gradient_passes_the_choice():
    model = build()
    encoded = torch.randn(2, 4, 4, 4, requires_grad=True)
    chosen, _, (_, _, codes) = model.vq.quantize(encoded)
    entries = model.vq.quantize.embedding.weight
    nearest = (encoded.movedim(1, -1)[..., None, :] - entries).square().sum(-1).argmin(-1)
    assert torch.equal(codes.view(2, 4, 4), nearest)
    assert torch.allclose(chosen, entries[nearest].movedim(-1, 1), atol=1e-6)
    chosen.sum().backward()
    assert torch.equal(encoded.grad, torch.ones_like(encoded))


def test_beta_weighs_the_encoders_term_as_in_equation_3():
    model = build(commitment=0.5)
    encoded = torch.randn(2, 4, 4, 4, requires_grad=True)
    chosen, loss, _ = model.vq.quantize(encoded)
    apart = (chosen - encoded).square().mean()
    assert loss.item() == pytest.approx(1.5 * apart.item(), rel=1e-5)
    (slope,) = torch.autograd.grad(loss, encoded)
    assert torch.allclose(slope, 0.5 * 2 * (encoded - chosen).detach() / encoded.numel(), atol=1e-7)


def test_perplexity_is_the_number_of_codes_that_are_used_equally():
    assert perplexity(torch.full((8,), 1 / 8)).item() == pytest.approx(8)
    assert perplexity(torch.tensor([0.5, 0.5, 0, 0])).item() == pytest.approx(2)
    assert perplexity(torch.tensor([1.0, 0])).item() == pytest.approx(1)


def test_an_entry_that_nothing_is_near_to_is_put_where_the_data_is():
    model = build(revive_below=0.5)
    model.before("autoencoder", squares_and_bars())
    with torch.no_grad():
        model.vq.quantize.embedding.weight[3] = 1000.0
        for _ in range(40):
            model.loss("autoencoder", squares_and_bars().batch(torch.arange(4)))
    assert model.vq.quantize.embedding.weight[3].abs().max() < 100


def test_the_priors_chances_add_up_to_one_over_all_grids():
    torch.manual_seed(0)
    prior = CodePrior(codes=3, places=3, classes=2, width=8, layers=1, heads=2, dropout=0.0).eval()
    every = torch.cartesian_prod(*[torch.arange(3)] * 3)
    with torch.no_grad():
        for label in (0, 1):
            chances = (-prior.nats(every, torch.full((27,), label)).sum(1)).exp()
            assert chances.sum().item() == pytest.approx(1, abs=1e-5)


def test_drawn_codes_come_as_often_as_the_prior_says():
    torch.manual_seed(0)
    prior = CodePrior(codes=2, places=2, classes=0, width=8, layers=1, heads=2, dropout=0.0).eval()
    drawn = prior.draw(20_000, None, torch.Generator().manual_seed(0))
    every = torch.cartesian_prod(torch.arange(2), torch.arange(2))
    with torch.no_grad():
        chances = (-prior.nats(every, None).sum(1)).exp()
    for grid, chance in zip(every, chances, strict=True):
        assert (drawn == grid).all(1).float().mean().item() == pytest.approx(chance.item(), abs=0.015)


def test_pictures_drawn_for_a_class_look_like_it(trained):
    labels = torch.arange(40) % 2
    drawn = trained.sample(Conditions(40, labels), torch.Generator().manual_seed(0))
    squares, bars = squares_and_bars(2).floats()
    nearer = ((drawn - squares).abs().mean((1, 2, 3)) > (drawn - bars).abs().mean((1, 2, 3))).long()
    assert (nearer == labels).float().mean() > 0.9


def test_figures_on_held_out_pictures(trained):
    figures = trained.evaluate(squares_and_bars(), torch.Generator())
    assert set(figures) == {"reconstruction", "psnr", "perplexity", "used", "prior_nats"}
    assert figures["used"] >= 0.25 and 2 < figures["perplexity"] <= 8 and figures["prior_nats"] < math.log(8)


def test_a_saved_one_draws_the_same(trained, tmp_path):
    trained.save(tmp_path)
    drawn = [m.sample(Conditions(4), torch.Generator().manual_seed(3)) for m in (trained, load_model(tmp_path))]
    assert torch.equal(*drawn)


def test_without_a_prior_it_says_that_it_reconstructs_only():
    model, pictures = build(prior_share=0.0).eval(), squares_and_bars(4).floats()
    with pytest.raises(RecipeError, match="reconstructs only"):
        model.sample(Conditions(1), torch.Generator())
    assert model.sample(Conditions(4, images=pictures), torch.Generator()).shape == pictures.shape
