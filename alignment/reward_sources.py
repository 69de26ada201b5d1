"""What PPO, GRPO and RLOO are rewarded by: a reward model, a function, or the weighted sum of both.

Each source is a function (prompts, completions, **columns) -> list of floats, as TRL's trainers call them, whose weight
is in its figures already and whose result has been checked.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from alignment.errors import DataError
from alignment.reward_functions import text_of
from alignment.reward_loading import load_function
from alignment.sections import Recipe
from decoder.errors import RecipeError

STEP = "rewarding"
RewardFunction: TypeAlias = Callable[..., list[float]]


def reward_functions(recipe: Recipe, tokenizer: Any) -> list[RewardFunction]:
    """The recipe's sources; their sum is the reward.

    Raises:
        RecipeError: it names none, or one that cannot be found.
        ModelError: the reward model cannot be used, or is one of another tokenizer.
    """
    check_sources(recipe)
    section, found = recipe.reward, []
    if section.model:
        found.append(checked(_scorer(section.model, tokenizer), "reward_model", section.model_weight))
    if section.function:
        name = section.function.rpartition(":")[2]
        found.append(checked(load_function(section.function), name, section.function_weight))
    return found


def check_sources(recipe: Recipe) -> None:
    """Refuse a recipe that names no reward. Raises RecipeError."""
    if not recipe.reward.model and not recipe.reward.function:
        raise RecipeError("reading the recipe", f"{recipe.stage} has no reward", "Give reward.model or reward.function")


def gold_function(recipe: Recipe, tokenizer: Any) -> RewardFunction | None:
    """What is watched and never trained on; a text with a colon that is no folder names a function."""
    gold = recipe.reward.gold
    if not gold:
        return None
    function = ":" in gold and not Path(gold).expanduser().is_dir()
    return checked(load_function(gold) if function else _scorer(gold, tokenizer), "gold")


def checked(function: Callable[..., Any], name: str, weight: float = 1.0) -> RewardFunction:
    """`function` times `weight`. It gets those columns that it has parameters for.

    The result raises DataError, naming the function and the row, when `function` raises, gives other than one figure
    for each completion, or one that is no finite number.
    """
    wanted = _parameters(function)

    def reward(prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float]:
        given = {"prompts": prompts, "completions": completions, **columns}
        if wanted is not None:
            given = {key: value for key, value in given.items() if key in wanted}
        try:
            figures = function(**given)
        except Exception as error:  # the function is the user's own, and whatever it raises is to be said
            raise _refused(name, f"raised {type(error).__name__}: {error}") from error
        return [weight * figure for figure in _figures(figures, name, completions)]

    reward.__name__ = name
    return reward


def _parameters(function: Callable[..., Any]) -> frozenset[str] | None:
    """Names that it takes; None when it takes all."""
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        return None
    return frozenset(p.name for p in parameters)


def _figures(figures: Any, name: str, completions: Sequence[Any]) -> list[float]:
    try:
        listed = list(figures)
    except TypeError:
        raise _refused(name, f"gave {type(figures).__name__}, no list") from None
    if len(listed) != len(completions):
        raise _refused(name, f"gave {len(listed)} figures for {len(completions)} completions")
    return [_figure(figure, name, row, completions[row]) for row, figure in enumerate(listed)]


def _figure(figure: Any, name: str, row: int, completion: Any) -> float:
    try:
        number = float(figure)
    except (TypeError, ValueError, ArithmeticError, RuntimeError):  # RuntimeError: torch's
        number = math.nan
    if not math.isfinite(number):
        raise _refused(name, f"gave {figure!r} for row {row}, {text_of(completion)[:60]!r}", row)
    return number


def _refused(name: str, cause: str, row: int | None = None) -> DataError:
    error = DataError(STEP, f"{name} {cause}", "Mend the function: one finite float for each completion")
    error.row, error.field = row, name
    return error


def _scorer(path: str, tokenizer: Any) -> Callable[..., Any]:
    """`RewardModel.score` of the model in `path`, shifted and scaled to what its training responses scored.

    Raises ModelError when it is none, or one of another tokenizer.
    """
    from alignment.scoring import RewardModel

    model = RewardModel.load(path, tokenizer=tokenizer)

    def score(prompts: Sequence[Any], completions: Sequence[Any]) -> list[float]:
        return list(model.score(prompts, completions, normalised=True))

    return score
