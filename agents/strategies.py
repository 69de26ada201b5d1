"""Ways to a dependable answer around the loop: voting, falling back from one to the other, and trying again.

- `react_then_vote`, `vote_then_react`: Yao et al. 2022 (arXiv:2210.03629, section 3.3). Acting finds facts, voting
  over chains of thought uses what the model knows; each takes over where the other shows that it is stuck.
- `reflexion`: Shinn et al. 2023 (arXiv:2303.11366). A critic looks at the answer, and what it says goes into the next
  attempt.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from agents.agent import Agent
from agents.calls import as_text, call_function
from agents.events import RunResult
from decoder.base import Decoder, run_sync
from decoder.errors import UsageError
from decoder.types import Sampling, assistant, user
from prompts.asking import aask
from prompts.consistency import Consensus, aself_consistency
from prompts.folders import load
from prompts.stopping import Stopping

SAMPLES = 21
TRY_AGAIN = "That answer was looked at, and this was found wrong with it:\n{}\nDo the task again and do better."


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answer and how it was come by.

    Attributes:
        answer: the agent's answer, or the voted one as it was written; None without one.
        by: which of the two gave it; None without an answer.
        run, consensus: what came of each that was tried.
        tokens: prompt and completion tokens of all of it.
    """

    answer: Any
    by: Literal["react", "vote"] | None
    run: RunResult | None
    consensus: Consensus | None

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens of all of it."""
        ran = self.run.spent.tokens if self.run is not None else 0
        return ran + (self.consensus.usage.total_tokens if self.consensus is not None else 0)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a critic says of an answer. `problems` is what the next attempt is told."""

    accepted: bool
    problems: str = ""


@dataclass(frozen=True, slots=True)
class Reflected:
    """Attempts and what the critic said of each; the last attempt is the result, accepted or not."""

    attempts: tuple[RunResult, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def result(self) -> RunResult:
        """The last attempt."""
        return self.attempts[-1]

    @property
    def accepted(self) -> bool:
        """The critic accepted the last attempt."""
        return self.verdicts[-1].accepted


Critic: TypeAlias = Callable[[str, RunResult], Verdict | Awaitable[Verdict]]


async def avote(
    decoder: Decoder,
    task: str,
    *,
    extract: str = "text",
    samples: int = SAMPLES,
    stopping: Stopping | None = None,
    sampling: Sampling | None = None,
) -> Consensus:
    """Chain-of-thought self-consistency without tools: the library's `zero-shot-cot`, and a vote.

    Args:
        extract: how answers are read, as in `prompts.extract.extractor`.

    Raises as `aself_consistency`.
    """
    prompt = load("zero-shot-cot")
    drawn = sampling or replace(prompt.sampling, temperature=None)
    asked = prompt.render(question=task)
    return await aself_consistency(decoder, asked, extract=extract, samples=samples, stopping=stopping, sampling=drawn)


async def areact_then_vote(agent: Agent, task: str, **voting: Any) -> Outcome:
    """Act; where that ends without an answer, vote over chains of thought. Options are those of `avote`."""
    run = await agent.arun(task)
    if run.ok:
        return Outcome(run.answer, "react", run, None)
    consensus = await avote(agent.decoder, task, **voting)
    return _voted(run, consensus)


async def avote_then_react(agent: Agent, task: str, least: float = 0.5, **voting: Any) -> Outcome:
    """Vote; where the first answer has less than `least` of the votes, act. Options are those of `avote`.

    If acting gives no answer either, the vote's stands.
    """
    consensus = await avote(agent.decoder, task, **voting)
    if consensus.answer is not None and consensus.confidence >= least:
        return _voted(None, consensus)
    run = await agent.arun(task)
    return Outcome(run.answer, "react", run, consensus) if run.ok else _voted(run, consensus)


async def areflexion(agent: Agent, task: str, critic: Critic | None = None, attempts: int = 3) -> Reflected:
    """Do the task, have the answer looked at, and do it again with what was found wrong.

    Each attempt has the agent's whole budget. What the critic says was written about untrusted text perhaps, so the
    taint of one attempt goes on to the next.

    Args:
        critic: sync or async; by default the agent's own decoder with the library's `critique`.
        attempts: at most, at least 1.

    Raises UsageError for no attempts, and as `Agent.arun`.
    """
    if attempts < 1:
        raise UsageError("reflexion", f"{attempts} attempts cannot be made", "Give 1 or more")
    judge: Critic = critic or decoder_critic(agent.decoder)
    tried, verdicts = [await agent.arun(task)], []
    while True:
        verdict = await call_function(_named(judge), {"task": task, "result": tried[-1]})
        verdicts.append(verdict)
        if verdict.accepted or len(tried) == attempts:
            return Reflected(tuple(tried), tuple(verdicts))
        tried.append(await agent.arun(task, after=_lesson(tried[-1], verdict)))


def decoder_critic(decoder: Decoder) -> Critic:
    """A critic that asks a decoder with the library's `critique`; the answer is quoted to it as untrusted text."""

    async def judge(task: str, result: RunResult) -> Verdict:
        if not result.ok:
            return Verdict(False, f"There was no answer: the work was ended by its budget ({result.ended}).")
        reply = await aask(decoder, load("critique"), {"task": task, "draft": as_text(result.answer)})
        problems = [f"- {each['problem']} {each['fix']}" for each in reply.value["problems"]]
        return Verdict(reply.value["verdict"] == "acceptable", "\n".join(problems))

    return judge


def vote(decoder: Decoder, task: str, **voting: Any) -> Consensus:
    """`avote` for code without an event loop."""
    return run_sync(avote(decoder, task, **voting))


def react_then_vote(agent: Agent, task: str, **voting: Any) -> Outcome:
    """`areact_then_vote` for code without an event loop."""
    return run_sync(areact_then_vote(agent, task, **voting))


def vote_then_react(agent: Agent, task: str, least: float = 0.5, **voting: Any) -> Outcome:
    """`avote_then_react` for code without an event loop."""
    return run_sync(avote_then_react(agent, task, least, **voting))


def reflexion(agent: Agent, task: str, critic: Critic | None = None, attempts: int = 3) -> Reflected:
    """`areflexion` for code without an event loop."""
    return run_sync(areflexion(agent, task, critic, attempts))


def _voted(run: RunResult | None, consensus: Consensus) -> Outcome:
    answer = consensus.answer
    return Outcome(answer.text if answer else None, "vote" if answer else None, run, consensus)


def _named(critic: Critic) -> Callable[..., Any]:
    """The critic called by position, whatever it calls its parameters."""
    return lambda task, result: critic(task, result)


def _lesson(result: RunResult, verdict: Verdict) -> RunResult:
    """The attempt as a conversation that the next one goes on from."""
    told = (user(TRY_AGAIN.format(verdict.problems or "It is not good enough.")), assistant("I will."))
    return replace(result, messages=(*result.messages, *told))
