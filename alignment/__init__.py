"""How the decoder is taught: feedback, data, SFT, reward model, PPO and its kin, constitution, evaluation, registry.

From a thumb in the chat to a served adapter, and back out again.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alignment.constitution_principles import load_constitution
    from alignment.data import Data, load_data
    from alignment.evaluate import Side, Suite
    from alignment.evaluate_rules import GateResult, GateRules
    from alignment.feedback import Feedback
    from alignment.feedback_events import Exchange, Shown, Where
    from alignment.guard import MaskReport, check_masks
    from alignment.overoptimisation import OveroptimisationMonitor
    from alignment.ppo_config import PPOConfig
    from alignment.recipe import load_recipe, make_recipe
    from alignment.registry import register
    from alignment.registry_artefact import Artefact
    from alignment.registry_serving import Promotion, promote, rollback
    from alignment.report import write_report
    from alignment.scaling import load_ladder, study
    from alignment.scaling_fit import ScalingLaw, fit_law
    from alignment.scoring import RewardModel
    from alignment.sections import Recipe
    from alignment.stages import train
    from alignment.token_mask import MaskedRow, mask_row, training_tokenizer
    from decoder.runs.folder import RunFolder

# Each name and the module it is imported from when it is first asked for (PEP 562).
_LAZY = {
    "Artefact": "alignment.registry_artefact",
    "check_masks": "alignment.guard",
    "Data": "alignment.data",
    "Exchange": "alignment.feedback_events",
    "Feedback": "alignment.feedback",
    "fit_law": "alignment.scaling_fit",
    "GateResult": "alignment.evaluate_rules",
    "GateRules": "alignment.evaluate_rules",
    "load_constitution": "alignment.constitution_principles",
    "load_data": "alignment.data",
    "load_ladder": "alignment.scaling",
    "load_recipe": "alignment.recipe",
    "make_recipe": "alignment.recipe",
    "mask_row": "alignment.token_mask",
    "MaskedRow": "alignment.token_mask",
    "MaskReport": "alignment.guard",
    "OveroptimisationMonitor": "alignment.overoptimisation",
    "PPOConfig": "alignment.ppo_config",
    "promote": "alignment.registry_serving",
    "Promotion": "alignment.registry_serving",
    "Recipe": "alignment.sections",
    "register": "alignment.registry",
    "RewardModel": "alignment.scoring",
    "rollback": "alignment.registry_serving",
    "RunFolder": "decoder.runs.folder",
    "ScalingLaw": "alignment.scaling_fit",
    "Shown": "alignment.feedback_events",
    "Side": "alignment.evaluate",
    "study": "alignment.scaling",
    "Suite": "alignment.evaluate",
    "train": "alignment.stages",
    "training_tokenizer": "alignment.token_mask",
    "Where": "alignment.feedback_events",
    "write_report": "alignment.report",
}

__all__ = [
    "Artefact",
    "Data",
    "Exchange",
    "Feedback",
    "GateResult",
    "GateRules",
    "MaskReport",
    "MaskedRow",
    "OveroptimisationMonitor",
    "PPOConfig",
    "Promotion",
    "Recipe",
    "RewardModel",
    "RunFolder",
    "ScalingLaw",
    "Shown",
    "Side",
    "Suite",
    "Where",
    "check_masks",
    "fit_law",
    "load_constitution",
    "load_data",
    "load_ladder",
    "load_recipe",
    "make_recipe",
    "mask_row",
    "promote",
    "register",
    "rollback",
    "study",
    "train",
    "training_tokenizer",
    "write_report",
]


def __getattr__(name: str) -> Any:
    """The room's names, on first use."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
