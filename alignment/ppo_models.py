"""Policy, critic and reference as a recipe asks for them.

All weights are trained beside a frozen copy; an adapter is trained over its own base, which is then the reference; a run
that goes on from an adapter keeps that one, frozen, beside the one it trains.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alignment.models import load_decoder, loading_arguments, lora_config, resolve
from alignment.ppo_config import PPOConfig
from alignment.ppo_critic import ActorCritic, without_dropout
from alignment.sections import LoraSection, ModelSection, Recipe

REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Models:
    """What is trained, and what it is compared with: see `ppo_critic.Reference`."""

    model: ActorCritic
    frozen: Any = None
    adapter: str = ""


def load_models(recipe: Recipe, config: PPOConfig) -> Models:
    """Load them. Raises ModelError, WrongBase."""
    policy = load_decoder(recipe.model, recipe.lora)
    frozen, adapter = None, ""
    if recipe.model.adapter:
        adapter = REFERENCE
        policy.load_adapter(resolve(recipe.model.adapter), adapter, is_trainable=False)
        policy.set_adapter("default")
    elif recipe.lora is None:
        frozen = copy.deepcopy(policy).eval().requires_grad_(False)
    model = ActorCritic(policy, _backbone(recipe, config) if config.critic == "separate" else None)
    for module in (model, frozen) if frozen is not None else (model,):
        without_dropout(module)
    if config.activation_checkpointing:
        for part in (policy, model.backbone):
            if part is not None:
                part.activation_checkpointing_enable({"use_reentrant": False})
    return Models(model, frozen, adapter)


def _backbone(recipe: Recipe, config: PPOConfig) -> Any:
    """A headless model for the separate critic; with an adapter of its own where the policy is trained by one."""
    import peft
    from transformers import AutoModel

    section = ModelSection(config.critic_model) if config.critic_model else recipe.model
    source = resolve(section.path)
    arguments = loading_arguments(recipe.model, source)
    arguments |= {"revision": section.revision or None, "local_files_only": Path(source).is_dir()}
    backbone = AutoModel.from_pretrained(source, **arguments)
    if recipe.lora is None and not recipe.model.adapter:
        return backbone
    return peft.get_peft_model(backbone, lora_config(recipe.lora or LoraSection(), "FEATURE_EXTRACTION"))
