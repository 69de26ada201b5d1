"""The bound and its parts are held against torch.distributions, closed forms and Monte Carlo."""

# ruff: noqa: E402  # imports come after the skips

import math

import pytest

torch = pytest.importorskip("torch", reason="the darkroom needs torch")

from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Bernoulli, Independent, MultivariateNormal, Normal, kl_divergence

from generators.vae_bounds import (
    active_units,
    free_kl,
    importance_weighted,
    kl_per_dimension,
    log_normal,
    reparameterise,
)
from generators.vae_likelihoods import (
    bernoulli_log_likelihood,
    bits_per_dimension,
    dequantised,
    gaussian_log_likelihood,
    grey_entropy,
)

NUMBER = st.floats(-4, 4)


def moments(seed=0, n=5, latent=3):
    generator = torch.Generator().manual_seed(seed)
    draw = torch.randn(2, n, latent, generator=generator, dtype=torch.float64)
    return draw[0], draw[1]


@given(NUMBER, NUMBER)
def test_the_kl_is_that_of_two_normals_never_negative_and_zero_for_the_prior(mean, log_variance):
    m, v = torch.tensor([mean], dtype=torch.float64), torch.tensor([log_variance], dtype=torch.float64)
    expected = kl_divergence(Normal(m, (v / 2).exp()), Normal(torch.zeros_like(m), torch.ones_like(m)))
    assert torch.allclose(kl_per_dimension(m, v), expected, atol=1e-12)
    assert float(kl_per_dimension(m, v)) >= -1e-12
    assert float(kl_per_dimension(m * 0, v * 0)) == 0


def test_the_kl_is_what_drawing_estimates():
    mean, log_variance = moments(n=1)
    noise = torch.randn(200_000, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    z = reparameterise(mean, log_variance, noise)
    terms = log_normal(z, mean, log_variance) - log_normal(z, torch.zeros_like(z), torch.zeros_like(z))
    error = float(terms.std()) / math.sqrt(len(terms))
    assert abs(float(terms.mean() - kl_per_dimension(mean, log_variance).sum())) < 4 * error


def test_log_normal_is_torchs():
    mean, log_variance = moments()
    z = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    expected = Independent(Normal(mean, (log_variance / 2).exp()), 1).log_prob(z)
    assert torch.allclose(log_normal(z, mean, log_variance), expected)


def test_the_reparameterised_gradient_is_the_expectations():
    """d/dm E[z^2] = 2m and d/dv E[z^2] = e^v for z ~ N(m, e^v)."""
    mean = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    log_variance = torch.tensor(-0.4, dtype=torch.float64, requires_grad=True)
    noise = torch.randn(400_000, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    reparameterise(mean, log_variance, noise).square().mean().backward()
    assert float(mean.grad) == pytest.approx(1.4, abs=0.01)
    assert float(log_variance.grad) == pytest.approx(math.exp(-0.4), abs=0.01)


def linear_gaussian(k, n=4000, seed=4):
    """log-weights [k, n] of a model whose evidence is known: z ~ N(0, 1), x | z ~ N(z, 1), so x ~ N(0, 2).

    The posterior is N(x/2, 1/2); q is N(x/2, 1), too wide.
    """
    generator = torch.Generator().manual_seed(seed)
    x = torch.tensor(1.3, dtype=torch.float64)
    z = x / 2 + torch.randn(k, n, generator=generator, dtype=torch.float64)
    log_p = Normal(0.0, 1.0).log_prob(z) + Normal(z, 1.0).log_prob(x)
    return log_p - Normal(x / 2, 1.0).log_prob(z), float(Normal(0.0, math.sqrt(2)).log_prob(x))


def test_the_importance_weighted_bound_tightens_with_k_and_stays_below_the_evidence():
    bounds = {}
    for k in (1, 2, 8, 64):
        weights, evidence = linear_gaussian(k)
        bounds[k] = float(importance_weighted(weights).mean())
    assert bounds[1] < bounds[2] < bounds[8] < bounds[64] < evidence + 0.005
    assert evidence - bounds[64] < 0.02
    gap = 0.5 * (1 / 0.5 - 1 + math.log(0.5))
    assert evidence - bounds[1] == pytest.approx(gap, abs=0.04), "the ELBO's gap is KL(q || posterior)"


def test_with_the_true_posterior_every_k_gives_the_evidence():
    x = torch.tensor(1.3, dtype=torch.float64)
    posterior = Normal(x / 2, math.sqrt(0.5))
    z = posterior.sample((7, 5))
    weights = Normal(0.0, 1.0).log_prob(z) + Normal(z, 1.0).log_prob(x) - posterior.log_prob(z)
    evidence = Normal(0.0, math.sqrt(2)).log_prob(x)
    assert torch.allclose(importance_weighted(weights), evidence.expand(5))


def test_importance_weights_far_apart_do_not_overflow():
    weights = torch.tensor([[1e4], [-1e4]])
    assert float(importance_weighted(weights)) == pytest.approx(1e4 - math.log(2), rel=1e-6)


def test_bernoulli_pixels_are_torchs():
    logits = torch.randn(4, 1, 3, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    pixels = (torch.rand(4, 1, 3, 3, generator=torch.Generator().manual_seed(6)) > 0.5).double()
    expected = Independent(Bernoulli(logits=logits), 3).log_prob(pixels)
    assert torch.allclose(bernoulli_log_likelihood(logits, pixels), expected)


def test_the_probabilities_of_all_black_and_white_pictures_sum_to_one():
    logits = torch.randn(1, 2, 2, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    every = torch.tensor([[(i >> b) & 1 for b in range(4)] for i in range(16)]).double().view(16, 1, 2, 2)
    assert float(bernoulli_log_likelihood(logits, every).exp().sum()) == pytest.approx(1)


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4), st.lists(NUMBER, min_size=4, max_size=4))
def test_no_logits_beat_the_entropy_of_grey_values(values, logits):
    pixels = torch.tensor(values, dtype=torch.float64).view(1, 1, 2, 2)
    floor = grey_entropy(pixels)
    made = torch.tensor(logits, dtype=torch.float64).view(1, 1, 2, 2)
    assert float(-bernoulli_log_likelihood(made, pixels)) >= float(floor) - 1e-12
    inner = pixels.clamp(1e-6, 1 - 1e-6)
    assert float(-bernoulli_log_likelihood(inner.logit(), inner)) == pytest.approx(float(grey_entropy(inner)), abs=1e-9)


def test_gaussian_pixels_are_torchs_with_the_constant():
    mean = torch.rand(4, 1, 3, 3, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    pixels = torch.rand(4, 1, 3, 3, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    sigma = 0.3
    expected = MultivariateNormal(mean.flatten(1), sigma**2 * torch.eye(9, dtype=torch.float64)).log_prob(
        pixels.flatten(1)
    )
    found = gaussian_log_likelihood(mean, torch.tensor(math.log(sigma), dtype=torch.float64), pixels)
    assert torch.allclose(found, expected)


def test_the_best_width_of_a_gaussian_is_the_root_of_the_mean_squared_error():
    mean, pixels = torch.zeros(1, 1, 4, 4), torch.linspace(-1, 1, 16).view(1, 1, 4, 4)
    log_sigma = torch.tensor(pixels.square().mean().sqrt().log().item(), requires_grad=True)
    gaussian_log_likelihood(mean, log_sigma, pixels).sum().backward()
    assert abs(float(log_sigma.grad)) < 1e-4


def test_dequantised_grey_values_fill_their_own_two_hundred_and_fifty_sixth():
    values = torch.arange(256)
    for noise in (0.0, 0.5, 0.999):
        moved = dequantised(values.double() / 255, torch.full((256,), noise, dtype=torch.float64))
        assert torch.equal((moved * 256 + 1e-9).floor().long(), values)


def test_pixels_that_tell_nothing_cost_eight_bits():
    """A density of one on [0, 1) has a bound of 0 nats."""
    assert bits_per_dimension(0.0, 64) == 8
    assert bits_per_dimension(-64 * math.log(256), 64) == pytest.approx(0)


def test_active_units_are_those_whose_mean_moves():
    """Standard deviations 1, 0.11, 0.09 and 0: variances above 0.01 are two."""
    base = torch.randn(5000, 1, generator=torch.Generator().manual_seed(10))
    base = (base - base.mean()) / base.std()
    assert active_units(base * torch.tensor([1.0, 0.11, 0.09, 0.0])) == 2
    assert active_units(base * torch.tensor([1.0, 0.11, 0.09, 0.0]), threshold=0.005) == 3


def test_free_nats_are_a_floor_of_each_dimension_without_a_gradient_below_it():
    kl = torch.tensor([[0.1, 2.0], [0.3, 4.0]], requires_grad=True)
    total = free_kl(kl, 0.5)
    assert float(total.detach()) == pytest.approx(0.5 + 3.0)
    total.backward()
    assert torch.equal(kl.grad, torch.tensor([[0.0, 0.5], [0.0, 0.5]]))
    assert float(free_kl(kl.detach(), 0.0)) == pytest.approx(float(kl.detach().sum(1).mean()))
