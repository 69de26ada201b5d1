"""The forward process and its three predictions, held against their closed forms."""

import math

import pytest
import torch
from diffusers import DDPMScheduler

from generators.diffusion_process import add_noise, clean_and_noise, min_snr_weight, scales, spread_times, target
from generators.schedulers import betas_of, lambdas_of

KINDS = ("epsilon", "sample", "v_prediction")


def process(schedule="squaredcos_cap_v2", kind="epsilon"):
    return DDPMScheduler(1000, beta_schedule=schedule, prediction_type=kind)


@pytest.fixture
def moment():
    generator = torch.Generator().manual_seed(0)
    clean, noise = (torch.randn(64, 1, 4, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    alpha_bar = torch.cumprod(1 - betas_of({"beta_schedule": "squaredcos_cap_v2"}).double(), 0)
    a, s = scales(alpha_bar, torch.linspace(0, 990, 64).long())
    return clean, noise, a, s


def test_noise_is_added_as_diffusers_adds_it():
    clean, noise = torch.randn(5, 1, 4, 4), torch.randn(5, 1, 4, 4)
    times = torch.tensor([0, 10, 500, 900, 999])
    for schedule in ("linear", "squaredcos_cap_v2"):
        stock = process(schedule)
        a, s = scales(stock.alphas_cumprod, times)
        assert torch.allclose(add_noise(clean, noise, a, s), stock.add_noise(clean, noise, times), atol=1e-6)
        assert torch.allclose(target("v_prediction", clean, noise, a, s), stock.get_velocity(clean, noise, times))


def test_many_small_steps_of_noise_are_one_large_one():
    betas = betas_of({"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02}).double()
    x = torch.full((20000,), 0.8, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    for beta in betas[:200]:
        x = (1 - beta).sqrt() * x + beta.sqrt() * torch.randn(x.shape, generator=generator, dtype=torch.float64)
    a, s = scales(torch.cumprod(1 - betas, 0), torch.tensor([199]))
    assert float(x.mean()) == pytest.approx(0.8 * float(a), abs=4 * float(s) / math.sqrt(20000))
    assert float(x.std()) == pytest.approx(float(s), rel=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_each_prediction_gives_back_picture_and_noise(kind, moment):
    clean, noise, a, s = moment
    found = clean_and_noise(kind, target(kind, clean, noise, a, s), add_noise(clean, noise, a, s), a, s)
    assert torch.allclose(found[0], clean, atol=1e-9)
    assert torch.allclose(found[1], noise, atol=1e-9)


@pytest.mark.parametrize("one", KINDS)
@pytest.mark.parametrize("other", KINDS)
def test_predictions_convert_into_each_other(one, other, moment):
    clean, noise, a, s = moment
    noisy, said = add_noise(clean, noise, a, s), torch.randn_like(clean)
    converted = target(other, *clean_and_noise(one, said, noisy, a, s), a, s)
    back = target(one, *clean_and_noise(other, converted, noisy, a, s), a, s)
    assert torch.allclose(back, said, atol=1e-9)


def test_the_cosine_schedule_is_that_of_its_paper():
    def f(t):
        return math.cos((t / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2

    alpha_bar = torch.cumprod(1 - betas_of({"beta_schedule": "squaredcos_cap_v2"}).double(), 0)
    for t in (0, 9, 99, 499, 899, 990):
        assert float(alpha_bar[t]) == pytest.approx(f(t + 1) / f(0), rel=1e-3)


def test_lambda_is_half_the_log_of_the_signal_to_noise_ratio():
    betas = torch.tensor([0.1, 0.5])
    alpha_bar = torch.tensor([0.9, 0.45], dtype=torch.float64)
    assert torch.allclose(lambdas_of(betas), 0.5 * (alpha_bar / (1 - alpha_bar)).log(), atol=1e-6)


def test_min_snr_weighs_the_loss_on_pictures_alike_for_all_predictions(moment):
    clean, noise, a, s = moment
    noisy = add_noise(clean, noise, a, s)
    wrong = clean + 0.1 * torch.randn_like(clean)
    wrong_noise = (noisy - a * wrong) / s
    losses = []
    for kind in KINDS:
        errors = (target(kind, wrong, wrong_noise, a, s) - target(kind, clean, noise, a, s)) ** 2
        losses.append(min_snr_weight(kind, a, s, 5.0) * errors)
    assert torch.allclose(losses[0], losses[1])
    assert torch.allclose(losses[2], losses[1])
    assert float(min_snr_weight("sample", a, s, 5.0).max()) == 5.0


def test_times_of_a_batch_visit_every_part_of_the_schedule():
    found = spread_times(50, torch.Generator().manual_seed(3))
    assert sorted((found * 50).long().tolist()) == list(range(50))
    draws = torch.stack([spread_times(2) for _ in range(4000)])
    assert float(draws[:, 0].mean()) == pytest.approx(0.5, abs=0.03)
