"""Both models' answers to the same prompts, and what a judge and a reward model say of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from alignment.evaluate_results import Made, Notebook, Work
from alignment.evaluate_rules import REWARD, WIN_RATE, Example, Figure, figure
from decoder.errors import UsageError
from decoder.types import Message, Sampling, user
from prompts.results import key_of
from prompts.rows import BadRow, lines, parse_object

if TYPE_CHECKING:
    from decoder.base import Decoder
    from prompts.template import Prompt

STEP = "reading prompts"
EXAMPLE = '{"prompt": "…"}'
Score: TypeAlias = Callable[[list[str], list[str]], Sequence[float]]
"""Scores of completions of prompts, such as a reward model's: `RewardModel.load(folder).score`."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A prompt: one text, or a conversation that ends with the user's turn."""

    id: str
    messages: tuple[Message, ...]

    @property
    def text(self) -> str:
        """As the judge and the reward model read it."""
        if len(self.messages) == 1:
            return self.messages[0].text
        return "\n\n".join(f"{message.role}: {message.text}" for message in self.messages)


def read_asks(path: Path, limit: int = 0) -> tuple[Ask, ...]:
    """Rows {"prompt": "…"} of a JSONL file; the prompt may be a list of {"role", "content"}. Other fields may follow.

    Raises BadRow, UsageError.
    """
    found = []
    for number, line in lines(path, STEP):
        row = parse_object(line, number, BadRow, EXAMPLE)
        found.append(Ask(str(row.get("id") or number), _messages(row.get("prompt"), number)))
        if len(found) == limit:
            break
    if not found:
        raise UsageError(STEP, f"{path} holds no prompt", f"Write one a line: {EXAMPLE}")
    return tuple(found)


def ask(text: str, number: int | str = 1) -> Ask:
    """A prompt of one text."""
    return Ask(str(number), (user(text),))


async def aanswers(
    decoder: Decoder, name: str, asks: Sequence[Ask], sampling: Sampling, notebook: Notebook, concurrency: int
) -> list[Made]:
    """One answer a prompt, in order; `name` tells results of this model from another's."""
    jobs: dict[str, Work] = {}
    for each in asks:
        key = key_of("answer", name, [asdict(message) for message in each.messages], asdict(sampling))
        jobs[key] = partial(_answer, decoder, each, sampling, key)
    by_key = dict(zip(jobs, await notebook.fill(jobs, concurrency), strict=True))
    return [by_key[key_of("answer", name, [asdict(m) for m in a.messages], asdict(sampling))] for a in asks]


async def awin_rate(
    judge: Decoder,
    asks: Sequence[Ask],
    candidate: Sequence[Made],
    baseline: Sequence[Made],
    notebook: Notebook,
    concurrency: int,
    prompt: Prompt | None = None,
    seed: int = 0,
) -> tuple[Figure | None, list[Example], str]:
    """How often the candidate's answer is the better one, a tie counting half; both orders are asked of the judge.

    Equal answers are a tie without being asked. None where no pair could be judged; the text says how often the judge
    held to its verdict when the answers changed places.
    """
    await judge.aready()
    triples = list(zip(asks, candidate, baseline, strict=True))
    jobs: dict[str, Work] = {}
    keys = []
    for each, one, two in triples:
        version = (prompt.name, prompt.version) if prompt else ()
        keys.append(key_of("verdict", judge.model, version, each.text, one.text, two.text, one.error, two.error))
        jobs[keys[-1]] = partial(_verdict, judge, each, one, two, prompt, keys[-1])
    found = dict(zip(jobs, await notebook.fill(jobs, concurrency), strict=True))
    verdicts = [found[key] for key in keys]
    scores = [value for made in verdicts if (value := made.metrics.get("win")) is not None]
    examples = [Example(a.text, c.text, b.text, v.text) for (a, c, b), v in zip(triples, verdicts, strict=True)]
    if not scores:
        return None, examples, ""
    held = [made.metrics["consistent"] for made in verdicts if made.metrics.get("consistent") is not None]
    said = (
        f"The judge held to its verdict in both orders for {sum(map(bool, held))} of {len(held)} pairs." if held else ""
    )
    missing = len(verdicts) - len(scores)
    return figure(WIN_RATE, scores, [1 - score for score in scores], missing, seed), examples, said


async def areward(
    score: Score, asks: Sequence[Ask], candidate: Sequence[Made], baseline: Sequence[Made], seed: int = 0
) -> Figure | None:
    """Both models' scores; worked out in a thread of its own, one batch a model. None where no pair was answered."""
    whole = [t for t in zip(asks, candidate, baseline, strict=True) if not (t[1].error or t[2].error)]
    if not whole:
        return None
    prompts = [each.text for each, _, _ in whole]
    theirs = [[made.text for _, made, _ in whole], [made.text for _, _, made in whole]]
    first, second = [await asyncio.to_thread(score, prompts, texts) for texts in theirs]
    return figure(REWARD, list(map(float, first)), list(map(float, second)), len(asks) - len(whole), seed)


async def _answer(decoder: Decoder, each: Ask, sampling: Sampling, key: str) -> Made:
    completion = await decoder.acomplete(each.messages, sampling=sampling)
    return Made(key, each.id, completion.text)


async def _verdict(judge: Decoder, each: Ask, one: Made, two: Made, prompt: Prompt | None, key: str) -> Made:
    from prompts.pairwise import ajudge

    if one.error or two.error:
        return Made(key, each.id, error=one.error or two.error)
    if one.text == two.text:
        return Made(key, each.id, "tie", {"win": 0.5, "consistent": None})
    judged = await ajudge(judge, each.text, one.text, two.text, prompt)
    words: Mapping[str, tuple[str, float]] = {
        "first": ("candidate", 1.0),
        "second": ("baseline", 0.0),
        "tie": ("tie", 0.5),
    }
    winner, win = words[judged.verdict]
    return Made(key, each.id, winner, {"win": win, "consistent": float(judged.consistent)})


def _messages(given: Any, number: int) -> tuple[Message, ...]:
    if isinstance(given, str) and given.strip():
        return (user(given),)
    turns = given if isinstance(given, list) else []
    found = [_message(turn) for turn in turns]
    if not found or None in found or found[-1].role != "user":  # type: ignore[union-attr]  # None is looked for first
        raise BadRow(number, "prompt", "it is no text and no conversation that ends with the user", f"Write {EXAMPLE}")
    return tuple(message for message in found if message is not None)


def _message(turn: Any) -> Message | None:
    role, content = (turn.get("role"), turn.get("content")) if isinstance(turn, dict) else (None, None)
    if role not in ("system", "user", "assistant") or not isinstance(content, str):
        return None
    return Message(role, content)
