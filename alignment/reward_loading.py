"""A reward function of the user's own, found by "module:name" or "file.py:name"."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from decoder.errors import RecipeError

STEP = "loading the reward function"
REMEDY = "Give module:name or file.py:name of a function (prompts, completions, **columns) -> list of floats"


def load_function(name: str) -> Callable[..., Any]:
    """The function. Its module's code is run, as any module's is that one imports.

    Raises:
        RecipeError: there is no such module, file or function, or importing it failed.
    """
    place, colon, attribute = name.rpartition(":")
    if not colon or not place or not attribute.isidentifier():
        raise RecipeError(STEP, f"{name!r} is neither module:name nor file.py:name", REMEDY)
    try:
        module = _from_file(Path(place).expanduser()) if place.endswith(".py") else importlib.import_module(place)
    except Exception as error:  # the module is the user's own, and whatever it raises is to be said
        raise RecipeError(STEP, f"{place}: {type(error).__name__}: {error}", REMEDY) from error
    found = getattr(module, attribute, None)
    if not callable(found):
        raise RecipeError(STEP, f"{place} has no function {attribute}", REMEDY)
    function: Callable[..., Any] = found
    return function


def _from_file(file: Path) -> Any:
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {file}")
    name = f"hearth_reward_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError("it cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses of the module look themselves up there
    spec.loader.exec_module(module)
    return module
