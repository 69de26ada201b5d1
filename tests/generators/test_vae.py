"""The VAE as a family: what it is built of, what it draws, what it says of held-out pictures."""

# ruff: noqa: E402  # imports come after the skips

import math
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="the darkroom needs torch")
pytest.importorskip("sklearn", reason="the digits are scikit-learn's")

from decoder.errors import RecipeError
from generators.data_digits import read_digits
from generators.errors import DataError, GeneratorError
from generators.families import family_config
from generators.model import Conditions, load_model
from generators.pictures import as_bytes
from generators.vae import Vae
from generators.vae_config import VaeConfig
from generators.vae_likelihoods import grey_entropy


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def digits():
    return read_digits(8)


def built(pictures, seed=0, **values):
    torch.manual_seed(seed)
    return Vae.build(family_config("vae", {"latent": 4, "hidden": 48, **values}), pictures)


def trained(pictures, steps, rate=3e-3, seed=0, **values):
    model = built(pictures, seed, learning_rate=rate, **values).train()
    (phase,) = model.phases(0)
    weights = [p for part in phase.parts for p in getattr(model, part).parameters()]
    optimizer = torch.optim.AdamW(weights, phase.learning_rate, phase.betas, weight_decay=phase.weight_decay)
    for step in range(steps):
        model.phases(step / steps)
        optimizer.zero_grad()
        model.loss("vae", pictures.batch(torch.randint(len(pictures), (128,))))["loss"].backward()
        optimizer.step()
    return model.eval()


def figures(model, pictures, seed=0):
    return model.evaluate(pictures, torch.Generator().manual_seed(seed))


NETWORKS = [
    {"network": "dense"},
    {"network": "convolutional", "width": 8},
    {"likelihood": "gaussian"},
    {"likelihood": "gaussian", "sigma": 0.5, "conditional": True},
    {"network": "convolutional", "width": 8, "conditional": True},
]


@pytest.mark.parametrize("values", NETWORKS, ids=str)
def test_it_is_saved_and_loaded_bit_exactly(digits, tmp_path, values):
    model = built(digits, **values).eval()
    model.save(tmp_path)
    again = load_model(tmp_path)
    asked = Conditions(5, labels=torch.arange(5))
    first, second = (m.sample(asked, torch.Generator().manual_seed(3)) for m in (model, again))
    assert torch.equal(first, second) and first.shape == (5, 1, 8, 8)
    assert figures(model, digits.subset(torch.arange(20))) == figures(again, digits.subset(torch.arange(20)))


@pytest.mark.parametrize("pixels", ["mean", "drawn"])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_what_is_drawn_hangs_on_the_generator_alone(digits, likelihood, pixels):
    model = built(digits, likelihood=likelihood).eval()
    asked = Conditions(6)
    first = model.sample(asked, torch.Generator().manual_seed(1), pixels=pixels)
    torch.rand(3)
    assert torch.equal(first, model.sample(asked, torch.Generator().manual_seed(1), pixels=pixels))
    assert not torch.equal(first, model.sample(asked, torch.Generator().manual_seed(2), pixels=pixels))
    assert first.min() >= -1 and first.max() <= 1 and not first.requires_grad
    if likelihood == "bernoulli" and pixels == "drawn":
        assert set(first.unique().tolist()) <= {-1.0, 1.0}


def test_no_temperature_draws_the_picture_of_the_zero_code(digits):
    model = built(digits).eval()
    drawn = model.sample(Conditions(2), torch.Generator(), temperature=0.0)
    with torch.no_grad():
        assert torch.equal(drawn, model.decode(torch.zeros(2, 4)))


def test_options_of_sampling_are_checked(digits):
    model = built(digits).eval()
    with pytest.raises(RecipeError, match="temperature"):
        model.sample(Conditions(1), torch.Generator(), temprature=1.0)
    with pytest.raises(RecipeError, match="mean or drawn"):
        model.sample(Conditions(1), torch.Generator(), pixels="noisy")


@pytest.mark.parametrize("values", [{"latent": 0}, {"sigma": -1.0}, {"dropout": 1.0}, {"beta": -0.1}, {"warmup": 2.0}])
def test_numbers_that_make_no_vae_are_refused(digits, values):
    with pytest.raises(RecipeError, match=next(iter(values))):
        built(digits, **values)


def test_a_conditional_vae_needs_labels(digits):
    with pytest.raises(DataError, match="no labels"):
        built(replace(digits, labels=None), conditional=True)
    with pytest.raises(GeneratorError, match="conditional"):
        built(digits, conditional=True).decode(torch.zeros(1, 4))


def test_the_loss_is_minus_the_elbo_and_beta_weighs_its_kl(digits):
    batch = digits.batch(torch.arange(64))
    parts = {}
    for beta in (1.0, 3.0):
        model = built(digits, beta=beta)
        torch.manual_seed(1)
        parts[beta] = {name: float(value.detach()) for name, value in model.loss("vae", batch).items()}
    one, three = parts[1.0], parts[3.0]
    assert one["loss"] == pytest.approx(one["reconstruction"] + one["kl"], rel=1e-6)
    assert one["loss"] == pytest.approx(one["bound"], rel=1e-6)
    assert three["bound"] == one["bound"], "figures are of beta 1"
    assert three["loss"] - one["loss"] == pytest.approx(2 * one["kl"], rel=1e-4)


def test_beta_rises_over_the_warmup(digits):
    model = built(digits, warmup=0.5)
    batch = digits.batch(torch.arange(64))
    for progress, weight in ((0.0, 0.0), (0.25, 0.5), (0.5, 1.0), (0.9, 1.0)):
        model.phases(progress)
        found = {name: float(value.detach()) for name, value in model.loss("vae", batch).items()}
        assert found["loss"] == pytest.approx(found["reconstruction"] + weight * found["kl"], rel=1e-6)


def test_every_weight_but_a_fixed_width_gets_a_gradient(digits):
    for values in NETWORKS:
        model = built(digits, **values)
        model.loss("vae", digits.batch(torch.arange(32)))["loss"].backward()
        wants = {name for name, p in model.named_parameters() if p.requires_grad}
        has = {name for name, p in model.named_parameters() if p.grad is not None}
        assert wants == has
        assert ("pixel.width" in wants) == (values.get("likelihood") == "gaussian" and "sigma" not in values)


@pytest.fixture(scope="module")
def small_run(digits):
    return trained(digits, 250)


def test_a_few_hundred_steps_beat_every_model_without_a_code(digits, small_run):
    """The best that independent pixels can do is their marginals' entropy; nothing goes below the grey values' own."""
    pixels = (digits.floats() + 1) / 2
    no_code = float(grey_entropy(pixels.mean(0, keepdim=True)))
    found = figures(small_run, digits)
    assert float(grey_entropy(pixels).mean()) < found["reconstruction"] < found["bound"] < no_code - 1
    assert found["bound"] == pytest.approx(found["reconstruction"] + found["kl"])
    assert found["kl"] > 1 and 2 <= found["active_units"] <= found["units"] == 4


def test_the_importance_weighted_bound_is_tighter_and_more_so_with_more_samples(digits, small_run):
    some = digits.subset(torch.arange(300))
    tight = {}
    for k in (1, 4, 32):
        small_run.config = replace(small_run.config, importance_samples=k)
        tight[k] = figures(small_run, some)
    small_run.config = replace(small_run.config, importance_samples=64)
    assert tight[32]["iw_bound"] < tight[4]["iw_bound"] < tight[1]["iw_bound"]
    assert tight[1]["iw_bound"] == pytest.approx(tight[1]["bound"], abs=0.3), "k = 1 is the ELBO, of one draw each"
    assert tight[1]["bound"] == pytest.approx(tight[32]["bound"], abs=0.2)


def test_figures_hang_on_the_generator_alone_and_the_kl_not_even_on_that(digits, small_run):
    some = digits.subset(torch.arange(150))
    assert figures(small_run, some) == figures(small_run, some)
    first, second = figures(small_run, some, 0), figures(small_run, some, 1)
    assert first["kl"] == second["kl"] and first["reconstruction"] != second["reconstruction"]


def test_the_kl_of_all_pictures_is_the_mean_of_its_parts(digits, small_run):
    """More pictures than are taken at once, and a last part that is smaller."""
    parts = [figures(small_run, digits.subset(index))["kl"] for index in torch.split(torch.arange(240), 120)]
    whole = figures(small_run, digits.subset(torch.arange(240)))["kl"]
    assert whole == pytest.approx(sum(parts) / 2, rel=1e-5)


def test_a_large_beta_collapses_the_posterior(digits, small_run):
    """Active units fall, and what is drawn is one grey mean."""
    kept, collapsed = figures(small_run, digits), figures(trained(digits, 120, beta=30.0), digits)
    assert kept["active_units"] >= 2 > collapsed["active_units"] == 0
    assert collapsed["kl"] < 0.1 < kept["kl"]


def test_a_learned_gaussian_width_finds_the_error_and_bits_follow_from_nats(digits):
    model = trained(digits, 250, likelihood="gaussian")
    found = figures(model, digits)
    with torch.no_grad():
        remade = model.decode(model.encode(digits.floats()))
    error = float((remade - digits.floats()).square().mean().sqrt()) / 2
    assert found["sigma"] == pytest.approx(error, rel=0.25)
    assert found["bits_per_dimension"] == pytest.approx(found["bound"] / 64 / math.log(2) + 8)
    assert found["bits_per_dimension"] < 8, "better than knowing nothing"


def test_a_conditional_vae_draws_the_digit_that_is_asked_for(digits):
    """The mean picture of each class's draws is nearest to that class's own mean."""
    model = trained(digits, 250, conditional=True)
    labels = torch.arange(10).repeat_interleave(40)
    drawn = model.sample(Conditions(400, labels=labels), torch.Generator().manual_seed(0))
    ours = torch.stack([drawn[labels == k].mean(0).flatten() for k in range(10)])
    theirs = torch.stack([digits.floats()[digits.labels == k].mean(0).flatten() for k in range(10)])
    assert torch.equal(torch.cdist(ours, theirs).argmin(1), torch.arange(10))
    assert as_bytes(drawn).dtype == torch.uint8


def test_without_labels_a_conditional_vae_draws_each_class_equally_often(digits):
    model = built(digits, conditional=True).eval()
    asked, free = Conditions(20, labels=torch.arange(20) % 10), Conditions(20)
    first, second = (model.sample(c, torch.Generator().manual_seed(0)) for c in (asked, free))
    assert torch.equal(first, second)


def test_the_defaults_are_a_configuration():
    assert VaeConfig() == family_config("vae", {})
