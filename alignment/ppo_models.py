"""Policy, critic and reference as a recipe asks for them.

All weights are trained beside a frozen copy; an adapter is trained over its own base, which is then the reference; a
run that goes on from an adapter keeps that one, frozen, beside the one it trains.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alignment.errors import ModelError
from alignment.models import load_decoder, loading_arguments, lora_config, resolve
from alignment.ppo_config import PPOConfig
from alignment.ppo_critic import ActorCritic, without_dropout
from alignment.sections import LoraSection, Recipe

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

    source = resolve(config.critic_model or recipe.model.path)
    arguments = loading_arguments(recipe.model, source)
    if config.critic_model:
        arguments["revision"] = None
    reward_adapter = config.critic_model and (Path(source) / "adapter_config.json").is_file()
    backbone = _merged(Path(source), arguments["dtype"]) if reward_adapter else _headless(source, arguments)
    if recipe.lora is None and not recipe.model.adapter:
        return backbone
    return peft.get_peft_model(backbone, lora_config(recipe.lora or LoraSection(), "FEATURE_EXTRACTION"))


def _headless(source: str, arguments: dict[str, Any]) -> Any:
    from transformers import AutoModel

    try:
        return AutoModel.from_pretrained(source, **arguments)
    except (OSError, ValueError, RuntimeError) as error:
        cause = f"{source}: {(str(error).strip().splitlines() or [type(error).__name__])[0][:300]}"
        raise ModelError("loading the critic", cause, "Mend training.critic_model") from error


def _merged(folder: Path, dtype: Any) -> Any:
    """A reward model's adapter on its base, as one. AutoModel would not find the adapter's weights in a headless base,
    and would only warn.
    """
    from alignment.reward_model import trained_network

    network = trained_network(folder).merge_and_unload()
    return network.base_model.to(dtype).requires_grad_(True)
