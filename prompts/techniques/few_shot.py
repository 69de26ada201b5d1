"""Solved examples before the question (Brown et al. 2020), as turns of the conversation, under a budget of tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from prompts import sandbox
from prompts.budget import Budget
from prompts.errors import TechniqueError
from prompts.template import Prompt
from prompts.turns import Turn, names
from prompts.variables import Example, resolved

STEP = "adding examples"


def few_shot(
    prompt: Prompt,
    examples: Sequence[Example],
    *,
    budget: int | None = None,
    count_tokens: Callable[[str], int] | None = None,
    best_last: bool = False,
) -> Prompt:
    """`prompt` with solved cases before its question, each in the form of its last user turn.

    Choose them with `prompts.examples`: at random, the nearest, diverse or balanced ones; or give the same every
    time, which a prefix cache likes best.

    Args:
        examples: the best first.
        budget: most tokens of all examples together; one that does not fit is passed over.
        count_tokens: tokens of a text; needed with a budget.
        best_last: the best stands nearest to the question.

    Raises:
        TechniqueError: there is no user turn, a budget without a counter, or a text for several variables.
        RenderError: an example's values do not fit the variables.
    """
    at, asked = _last_user_turn(prompt)
    turns = [_turns(prompt, asked, example) for example in examples]
    if budget is not None:
        if count_tokens is None:
            raise TechniqueError(STEP, "a budget was given and nothing that counts tokens", "Give count_tokens")
        turns = list(_within(turns, budget, count_tokens))
    shown = [turn for pair in (reversed(turns) if best_last else turns) for turn in pair]
    head = 1 if isinstance(first := prompt.messages[0], Turn) and first.role == "system" else 0
    place = min(max(prompt.stable_turns, head), at)
    return replace(prompt, messages=(*prompt.messages[:place], *shown, *prompt.messages[place:]))


def _last_user_turn(prompt: Prompt) -> tuple[int, Turn]:
    for at in range(len(prompt.messages) - 1, -1, -1):
        part = prompt.messages[at]
        if isinstance(part, Turn) and part.role == "user" and not part.literal:
            return at, part
    raise TechniqueError(STEP, f"{prompt.name} has no user turn that asks", "Add examples to a prompt with a question")


def _within(
    turns: Iterable[tuple[Turn, Turn]], budget: int, count_tokens: Callable[[str], int]
) -> Iterable[tuple[Turn, Turn]]:
    for pair in turns:
        needed = sum(count_tokens(turn.text) for turn in pair)
        if needed <= budget:
            budget -= needed
            yield pair


def _turns(prompt: Prompt, asked: Turn, example: Example) -> tuple[Turn, Turn]:
    used = names(asked)
    values = example.input if isinstance(example.input, Mapping) else {_only_hole(prompt, used): example.input}
    known = resolved((variable for variable in prompt.variables if variable.name in used), values, STEP)
    if unknown := sorted(values.keys() - used):
        raise TechniqueError(STEP, f"an example has a value for {unknown[0]}, which the question does not use")
    text = sandbox.render(sandbox.compiled(asked.text), known, Budget())
    return Turn("user", text, literal=True), Turn("assistant", example.output, literal=True)


def _only_hole(prompt: Prompt, used: frozenset[str]) -> str:
    holes = sorted(used & prompt.volatile)
    if len(holes) != 1:
        cause = f"an example's input is text, and the question of {prompt.name} uses {', '.join(holes) or 'nothing'}"
        raise TechniqueError(STEP, cause, "Give the input as a mapping from variables to values")
    return holes[0]
