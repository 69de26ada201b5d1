"""Budgets: what a run may cost at most, and the meter that counts it.

A worker's meter reports to its parent's, so that a team stays inside the budget of whoever called it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

from agents.events import Ended, Spent
from decoder.errors import UsageError
from decoder.types import Usage


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that a run may cost; None is unlimited.

    Attributes:
        steps: turns of the loop; the last one may only answer.
        tokens: prompt and completion of all decoder calls. It is looked at between calls, and bounds each call's
            completion; a prompt that is larger than what is left is not sent where the decoder can count it.
        seconds: wall clock; a call or tool that runs at its end is cancelled.
        tool_calls: calls of tools; after the last one the agent must answer.
        cost: money, by the prices per million tokens (prompt, cached prompt, completion).
    """

    steps: int | None = 12
    tokens: int | None = 100_000
    seconds: float | None = 300.0
    tool_calls: int | None = 40
    cost: float | None = None
    prompt_price: float = 0.0
    cached_price: float | None = None
    completion_price: float = 0.0

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if value is not None and not value >= 0:
                raise UsageError("setting a budget", f"{each.name}={value} is negative", "Give 0 or more, or None")

    def price(self, usage: Usage) -> float:
        """What these tokens cost."""
        cached = usage.cached_tokens or 0
        cached_price = self.prompt_price if self.cached_price is None else self.cached_price
        fresh = (usage.prompt_tokens - cached) * self.prompt_price
        return (fresh + cached * cached_price + usage.completion_tokens * self.completion_price) / 1e6


class Meter:
    """Counts what one run spends.

    Args:
        spent: what an earlier part of a resumed run has spent.
        parent: the meter of the run that called this one; it counts tokens, calls, money and approvals too.
        clock: seconds from anywhere.
    """

    def __init__(
        self,
        budget: Budget,
        spent: Spent | None = None,
        parent: Meter | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.budget, self._parent, self._clock = budget, parent, clock
        self._spent = spent or Spent()
        self._began = clock() - self._spent.seconds

    @property
    def spent(self) -> Spent:
        """All that was spent up to now."""
        return replace(self._spent, seconds=self._clock() - self._began)

    def after(self, spent: Spent) -> Meter:
        """The same meter with this spent already; what is above it has counted that, or never will."""
        return Meter(self.budget, spent, self._parent, self._clock)

    def add(self, **counts: int) -> None:
        """Count `steps`, `tool_calls`, `truncations`, …: fields of `Spent`. Steps stay with this run."""
        self._spent = replace(self._spent, **{name: getattr(self._spent, name) + n for name, n in counts.items()})
        if self._parent is not None and (others := {k: v for k, v in counts.items() if k != "steps"}):
            self._parent.add(**others)

    def count(self, spent: Spent) -> None:
        """Count what a worker has spent, all but its steps and its seconds."""
        mine = self._spent
        self._spent = replace(spent, **{f.name: getattr(mine, f.name) + getattr(spent, f.name) for f in fields(Spent)})
        self._spent = replace(self._spent, steps=mine.steps, seconds=mine.seconds)

    def use(self, usage: Usage) -> None:
        """Count the tokens of one decoder call, and their price."""
        cost = self._spent.cost + self.budget.price(usage)
        self._spent = replace(
            self._spent,
            prompt_tokens=self._spent.prompt_tokens + usage.prompt_tokens,
            cached_tokens=self._spent.cached_tokens + (usage.cached_tokens or 0),
            completion_tokens=self._spent.completion_tokens + usage.completion_tokens,
            cost=cost,
        )
        if self._parent is not None:
            self._parent.use(usage)

    def exhausted(self) -> Ended | None:
        """The budget that leaves no room for another decoder call, of this run or one above it."""
        budget, spent = self.budget, self.spent
        if budget.steps is not None and spent.steps >= budget.steps:
            return "steps"
        return self._exhausted()

    def _exhausted(self) -> Ended | None:
        """As `exhausted`, steps aside: a worker's parent is in the middle of one."""
        budget, spent = self.budget, self.spent
        for name, limit, used in (
            ("tokens", budget.tokens, spent.tokens),
            ("seconds", budget.seconds, spent.seconds),
            ("cost", budget.cost, spent.cost),
        ):
            if limit is not None and used >= limit:
                return name  # type: ignore[return-value]  # each is one of Ended
        return self._parent._exhausted() if self._parent is not None else None

    def must_answer(self) -> str | None:
        """Why only an answer may follow now: the last step, or no tool call left. None when tools may be called."""
        budget, spent = self.budget, self.spent
        if budget.tool_calls is not None and spent.tool_calls >= budget.tool_calls:
            return "No tool call is left in the budget."
        if budget.steps is not None and spent.steps >= budget.steps - 1:
            return "This is the last step."
        return self._parent.no_calls_left() if self._parent is not None else None

    def no_calls_left(self) -> str | None:
        """As `must_answer`, seen by a worker."""
        limit = self.budget.tool_calls
        if limit is not None and self.spent.tool_calls >= limit:
            return "No tool call is left in the budget."
        return self._parent.no_calls_left() if self._parent is not None else None

    def tokens_left(self) -> int | None:
        """Of this run and those above it; None is unlimited."""
        own = None if self.budget.tokens is None else max(0, self.budget.tokens - self.spent.tokens)
        above = self._parent.tokens_left() if self._parent is not None else None
        return own if above is None else above if own is None else min(own, above)

    def seconds_left(self) -> float | None:
        """Of this run and those above it; None is unlimited."""
        own = None if self.budget.seconds is None else max(0.0, self.budget.seconds - self.spent.seconds)
        above = self._parent.seconds_left() if self._parent is not None else None
        return own if above is None else above if own is None else min(own, above)

    def calls_left(self) -> int | None:
        """Tool calls of this run and those above it; None is unlimited."""
        limit = self.budget.tool_calls
        own = None if limit is None else max(0, limit - self.spent.tool_calls)
        above = self._parent.calls_left() if self._parent is not None else None
        return own if above is None else above if own is None else min(own, above)
