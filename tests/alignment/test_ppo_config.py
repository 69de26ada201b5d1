"""PPO's keys read like those of TRL's trainers; a value that cannot be meant is refused."""

# imports come after the skips

import dataclasses

import pytest

pytest.importorskip("trl", reason="PPOConfig is built on TRL's")
from trl import GRPOConfig

from alignment.ppo_config import PPOConfig
from alignment.recipe import load_recipe, make_recipe
from alignment.training_arguments import training_arguments
from decoder.errors import RecipeError
from decoder.runs.folder import RunFolder

CONFIG = "alignment.ppo_config:PPOConfig"


def arguments(tmp_path, **training):
    recipe = make_recipe({"stage": "ppo", "name": "p", "training": training})
    return training_arguments(recipe, RunFolder(tmp_path), CONFIG)


def test_it_has_the_keys_of_its_siblings():
    ours = {field.name for field in dataclasses.fields(PPOConfig)}
    for key in ("learning_rate", "max_steps", "per_device_train_batch_size", "gradient_accumulation_steps", "seed"):
        assert key in ours
    theirs = {field.name for field in dataclasses.fields(GRPOConfig)}
    assert {"max_completion_length", "temperature", "use_vllm", "vllm_server_base_url"} <= ours & theirs


def test_a_step_gathers_every_minibatch(tmp_path):
    config = arguments(
        tmp_path, per_device_train_batch_size=4, gradient_accumulation_steps=3, num_mini_batches=2, learning_rate="1e-5"
    )
    assert config.episodes == 24 and config.learning_rate == 1e-5


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("temperature", 0),
        ("gamma", 1.5),
        ("lam", -0.1),
        ("cliprange", 0),
        ("kl_coef", -0.05),
        ("kl_coef", float("nan")),
        ("kl_estimator", "k2"),
        ("critic", "both"),
        ("num_mini_batches", 0),
        ("missing_eos_penalty", -1),
        ("target_kl", "low"),
        ("use_vllm", True),
        ("critic_model", "x"),
        ("save_strategy", "epoch"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_by_name(tmp_path, key, value):
    with pytest.raises(RecipeError, match=key):
        arguments(tmp_path, **{key: value})


def test_an_unknown_key_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(RecipeError, match="Did you mean kl_coef"):
        arguments(tmp_path, kl_coeff=0.1)


@pytest.mark.parametrize("name", ["ppo-small", "ppo-8b"])
def test_the_recipes_that_ship_can_be_read(name, tmp_path):
    recipe = load_recipe(name)
    assert recipe.stage == "ppo" and (recipe.reward.model or recipe.reward.function)
    config = training_arguments(recipe, RunFolder(tmp_path), CONFIG)
    assert isinstance(config, PPOConfig)
