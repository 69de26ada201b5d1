"""The scheduler doctor: each contradiction is refused with its keys and remedy, and sound configurations pass."""

import pytest
from diffusers import (
    DDIMScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    PNDMScheduler,
)

from generators.errors import SchedulerError
from generators.scheduler_doctor import broken_rules, check_scheduler, rules_table
from generators.scheduler_rules import RULES
from generators.schedulers import SCHEDULERS, named_scheduler

pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")  # diffusers

COSINE, LINEAR = {"beta_schedule": "squaredcos_cap_v2"}, {"beta_schedule": "linear"}
V = {"prediction_type": "v_prediction"}
STABLE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def ddim(**keys):
    return {"_class_name": "DDIMScheduler", **keys}


def dpm(**keys):
    return {"_class_name": "DPMSolverMultistepScheduler", **keys}


BAD = [
    (ddim(**COSINE, timestep_spacing="trailing"), {"steps": 50}, "use_clipped_model_output"),
    (dpm(**COSINE), {"steps": 20}, "lambda_min_clipped"),
    ({"_class_name": "EulerDiscreteScheduler", **COSINE}, {}, "magnified"),
    ({"_class_name": "HeunDiscreteScheduler", **COSINE, **V}, {}, "second order"),
    (dpm(**COSINE, **V, use_karras_sigmas=True), {}, "use_karras_sigmas"),
    (ddim(**STABLE, clip_sample=False), {"steps": 5}, "leading"),
    (ddim(**STABLE, clip_sample=False, steps_offset=1), {"steps": 1000}, "beyond"),
    (ddim(**LINEAR, timestep_spacing="trailing"), {"steps": 30}, "previous time"),
    (ddim(**LINEAR, timestep_spacing="linspace"), {"steps": 50}, "previous time"),
    (ddim(**LINEAR, rescale_betas_zero_snr=True, timestep_spacing="trailing"), {}, "epsilon"),
    (ddim(**LINEAR, **V, rescale_betas_zero_snr=True), {}, "never visited"),
    (ddim(**LINEAR), {"training": {**LINEAR, **V}}, "prediction_type"),
    (ddim(**LINEAR), {"training": {**STABLE, "prediction_type": "epsilon"}}, "another noise"),
    (ddim(**LINEAR, num_train_timesteps=2000), {"training": LINEAR}, "another noise"),
    (ddim(**STABLE), {"latent": True}, "clip_sample, latents"),
    (ddim(**STABLE, clip_sample=False, thresholding=True), {"latent": True}, "thresholding"),
    (ddim(**LINEAR, num_train_timesteps=20), {"steps": 21}, "more steps"),
    (dpm(**LINEAR, use_karras_sigmas=True, use_beta_sigmas=True), {}, "only one"),
    (dpm(**LINEAR, use_flow_sigmas=True), {}, "flow"),
    ({"_class_name": "FlowMatchEulerDiscreteScheduler"}, {"training": LINEAR}, "another noise"),
]


@pytest.mark.parametrize(("config", "asked", "said"), BAD)
def test_a_contradiction_is_refused_with_its_keys(config, asked, said):
    with pytest.raises(SchedulerError, match=said) as refused:
        check_scheduler(config, **asked)
    assert refused.value.remedy


def test_every_rule_has_a_configuration_above_that_breaks_it():
    broken = {rule.keys for config, asked, _ in BAD for rule in broken_rules(config, **asked)}
    assert broken == {rule.keys for rule in RULES}


SOUND = [
    (PNDMScheduler(**STABLE, skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1), 50, True),
    (DDIMScheduler(**STABLE, clip_sample=False, set_alpha_to_one=False, steps_offset=1), 50, True),
    (EulerDiscreteScheduler(**STABLE, timestep_spacing="leading", steps_offset=1), 30, True),
    (FlowMatchEulerDiscreteScheduler(shift=3.0), 28, True),
    (DDIMScheduler(**LINEAR), 50, False),
    (DDIMScheduler(**LINEAR, **V, rescale_betas_zero_snr=True, timestep_spacing="trailing"), 50, False),
    (dpm(**COSINE, lambda_min_clipped=-5.1), 20, False),
]


@pytest.mark.parametrize(("scheduler", "steps", "latent"), SOUND)
def test_stable_diffusions_own_and_other_sound_configurations_pass(scheduler, steps, latent):
    check_scheduler(scheduler, steps=steps, latent=latent)


def test_ddim_with_clipping_passes_where_each_step_is_told():
    check_scheduler(ddim(**COSINE), steps=50, step_options={"use_clipped_model_output": True})


@pytest.mark.parametrize("training", [{**COSINE, **V}, {**COSINE, "prediction_type": "epsilon"}, LINEAR, STABLE])
def test_what_named_scheduler_makes_is_sound(training):
    for name, entry in SCHEDULERS.items():
        if not entry.flow and not entry.distilled and name != "pndm":
            if name == "dpm++-karras" and training["beta_schedule"] == "squaredcos_cap_v2":
                continue
            check_scheduler(named_scheduler(name, training), steps=10, training=training)


def test_the_rules_make_a_table():
    assert rules_table().count("\n") == len(RULES) + 1
