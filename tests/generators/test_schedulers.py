"""Schedulers by name: what training fixed is kept, and each draws the Gaussian that a perfect network knows."""

import itertools

import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

from benchmarks.gaussian_denoiser import MEAN, SPREAD, drawn
from generators.errors import SchedulerError
from generators.schedulers import SCHEDULERS, betas_of, lambdas_of, named_scheduler

pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")  # diffusers

COSINE = {"num_train_timesteps": 1000, "beta_schedule": "squaredcos_cap_v2", "prediction_type": "epsilon"}
UNCLIPPED = {**COSINE, "clip_sample": False}
DIFFUSION = [name for name, entry in SCHEDULERS.items() if not entry.flow and not entry.distilled]
COMPARED = [name for name in DIFFUSION if name != "dpm++-karras"]


def analytic_ddim(scheduler, steps):
    """Mean and spread after DDIM's affine steps with the perfect denoiser, composed along the times visited."""
    scheduler.set_timesteps(steps)
    alpha_bar = torch.cumprod(1 - betas_of(scheduler.config).double(), 0)
    visited = [*(float(alpha_bar[t]) for t in scheduler.timesteps), 1.0]
    mean, spread = 0.0, 1.0
    for now, then in itertools.pairwise(visited):
        a, s = now**0.5, (1 - now) ** 0.5
        gain = a * SPREAD**2 / (now * SPREAD**2 + 1 - now)
        clean = MEAN + gain * (mean - a * MEAN)
        mean = then**0.5 * clean + (1 - then) ** 0.5 * (mean - a * clean) / s
        spread *= then**0.5 * gain + (1 - then) ** 0.5 * (1 - a * gain) / s
    return mean, spread


@pytest.mark.parametrize("spacing", ["trailing", "linspace", "leading"])
def test_exact_ddim_ends_where_the_equations_say_at_any_spacing(spacing):
    scheduler = type(named_scheduler("ddim", COSINE))(**UNCLIPPED, timestep_spacing=spacing)
    found, (mean, spread) = drawn(scheduler, 30, count=20000), analytic_ddim(scheduler, 30)
    assert found.mean == pytest.approx(mean, abs=0.01)
    assert found.spread == pytest.approx(spread, rel=0.015)


def test_stock_ddim_does_not_since_it_takes_another_previous_time():
    scheduler = DDIMScheduler(**UNCLIPPED, timestep_spacing="linspace")
    found, (_, spread) = drawn(scheduler, 10, count=20000), analytic_ddim(scheduler, 10)
    assert abs(found.spread - spread) > 0.03


def test_exact_ddim_is_stock_ddim_where_that_is_right():
    x, said = torch.randn(2, 1, 4, 4), torch.randn(2, 1, 4, 4)
    for kind in ("epsilon", "sample", "v_prediction"):
        config = {**COSINE, "prediction_type": kind, "clip_sample": True}
        ours, stock = named_scheduler("ddim", config), DDIMScheduler(**config, timestep_spacing="trailing")
        for each in (ours, stock):
            each.set_timesteps(10)
        for time in ours.timesteps:
            for eta in (0.0, 0.7):
                seeds = [torch.Generator().manual_seed(0) for _ in range(2)]
                expected = stock.step(said, int(time), x, eta, use_clipped_model_output=True, generator=seeds[0])
                found = ours.step(said, time, x, eta, generator=seeds[1])
                assert torch.allclose(found.prev_sample, expected.prev_sample, atol=1e-5)


@pytest.mark.parametrize("schedule", ["linear", "squaredcos_cap_v2"])
@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("name", COMPARED)
def test_each_draws_the_data_of_a_perfect_network(name, kind, schedule):
    config = {**UNCLIPPED, "prediction_type": kind, "beta_schedule": schedule}
    config |= {"beta_start": 1e-4, "beta_end": 0.02}
    found = drawn(named_scheduler(name, config), 30, count=1000)
    assert found.mean == pytest.approx(MEAN, abs=0.04)
    assert found.spread == pytest.approx(SPREAD, abs=0.08)


@pytest.mark.parametrize("name", ["dpm++", "euler", "unipc", "lms", "deis"])
def test_an_error_of_the_noise_is_not_magnified_as_it_is_by_stock_schedulers(name):
    repaired = drawn(named_scheduler(name, UNCLIPPED), 10, count=500, error=0.02)
    assert repaired.spread < SPREAD
    stock = drawn(DPMSolverMultistepScheduler(**COSINE), 10, count=500, error=0.02)
    assert stock.spread > 10


def test_a_schedule_is_ended_where_the_linear_one_ends_and_its_other_steps_stay():
    found = betas_of(named_scheduler("euler", COSINE).config)
    whole = betas_of(COSINE)
    assert torch.equal(found, whole[: len(found)])
    assert float(lambdas_of(found)[-1]) >= -5.1 > float(lambdas_of(whole)[len(found)])
    linear = {"num_train_timesteps": 1000, "beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02}
    assert len(betas_of(named_scheduler("euler", linear).config)) == 1000


def test_what_training_fixed_is_taken_over():
    stable = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "clip_sample": False}
    for name in DIFFUSION:
        found = named_scheduler(name, {**stable, "prediction_type": "v_prediction", "steps_offset": 1}).config
        assert (found.beta_start, found.beta_schedule) == (0.00085, "scaled_linear")
        assert found.prediction_type == "v_prediction"
        assert found.get("clip_sample", False) is False


def test_flow_and_diffusion_are_not_mixed():
    flow = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": 3.0}
    assert named_scheduler("flow_euler", flow).config.shift == 3.0
    assert named_scheduler("flow_dpm++", flow).config.flow_shift == 3.0
    with pytest.raises(SchedulerError, match="flow matching"):
        named_scheduler("ddim", flow)
    with pytest.raises(SchedulerError, match="diffusion"):
        named_scheduler("flow_euler", COSINE)


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(SchedulerError, match="euler_a"):
        named_scheduler("euler_b", COSINE)


def test_a_schedule_that_a_scheduler_cannot_follow_is_refused():
    with pytest.raises(SchedulerError, match="rescale_betas_zero_snr"):
        named_scheduler("heun", {**COSINE, "prediction_type": "v_prediction", "rescale_betas_zero_snr": True})
