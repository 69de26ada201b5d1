"""How the decoder is taught: feedback, data, SFT, reward model, PPO and its kin, constitution, evaluation, registry.

From a thumb in the chat to a served adapter, and back out again.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alignment.recipe import load_recipe, make_recipe
    from alignment.run_folder import RunFolder
    from alignment.sections import Recipe
    from alignment.stages import train

# Each name and the module it is imported from when it is first asked for (PEP 562).
_LAZY = {
    "Recipe": "alignment.sections",
    "RunFolder": "alignment.run_folder",
    "load_recipe": "alignment.recipe",
    "make_recipe": "alignment.recipe",
    "train": "alignment.stages",
}

__all__ = ["Recipe", "RunFolder", "load_recipe", "make_recipe", "train"]


def __getattr__(name: str) -> Any:
    """The room's names, on first use."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
