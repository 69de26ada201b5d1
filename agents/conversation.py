"""Conversation memory: the turns that fit a token budget, and a summary of those that no longer do.

`agent.run(task, after=conversation)`, then `conversation.add(result)`. What falls out are whole turns, oldest first,
so a call is never parted from its result; and more than is needed falls out at once, so that most turns only append
and a prefix cache serves what stands before. A summary of untrusted text is untrusted, however often it is renewed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from agents.calls import shorten
from agents.events import RunResult
from decoder.base import Decoder, run_sync
from decoder.errors import UsageError
from decoder.types import Message, TextPart, assistant, user

STEP = "remembering a conversation"
KEPT = 0.5
"""Of the budget is filled by turns after some fell out."""
MOST_PIECES = 8
PROMPT_TOKENS = 800
FOCUS = "what the user wants and prefers, what was found out, decided or promised, and what is still open"
SUMMARY = "What was said before, in short:"
NOTED = "I go on from there."


@dataclass(frozen=True, slots=True)
class Turn:
    """What a user said and all that followed until they said the next thing."""

    messages: tuple[Message, ...]
    untrusted: bool
    tokens: int = 0

    @property
    def open(self) -> bool:
        """A call has no result yet."""
        answered = {message.tool_call_id for message in self.messages if message.role == "tool"}
        return any(call.id not in answered for message in self.messages for call in message.tool_calls)


@dataclass(frozen=True, slots=True)
class Remembered:
    """A conversation as it is remembered: frozen, so that what cannot be summarised leaves it as it was."""

    turns: tuple[Turn, ...] = ()
    summary: str = ""
    summary_untrusted: bool = False

    @property
    def messages(self) -> tuple[Message, ...]:
        """The summary as a turn of its own, then the turns."""
        turns = tuple(message for turn in self.turns for message in turn.messages)
        return (*self._summary_turn(), *turns)

    def _summary_turn(self) -> tuple[Message, ...]:
        if not self.summary:
            return ()
        if not self.summary_untrusted:
            return user(f"{SUMMARY}\n\n{self.summary}"), assistant(NOTED)
        from prompts.untrusted import mark_untrusted

        return user(f"{SUMMARY}\n\n{mark_untrusted([self.summary], ['summary'])}"), assistant(NOTED)


@dataclass(slots=True)
class Conversation:
    """What was said, within a budget. One caller at a time.

    Attributes:
        decoder: counts tokens and writes summaries.
        tokens: most tokens of `messages`, as the decoder counts them.
        summary_tokens: most of them that the summary may take.

    Raises:
        UsageError: the summary would leave no room for turns.
    """

    decoder: Decoder
    tokens: int = 4000
    summary_tokens: int = 400
    remembered: Remembered = field(default_factory=Remembered)

    def __post_init__(self) -> None:
        if not 0 < self.summary_tokens <= self.tokens // 3:
            cause = f"a summary of {self.summary_tokens} tokens leaves no room in {self.tokens}"
            raise UsageError(STEP, cause, "Give it at most a third of the tokens")

    @property
    def messages(self) -> tuple[Message, ...]:
        """What a next run goes on from."""
        return self.remembered.messages

    @property
    def untrusted(self) -> bool:
        """Text that nobody vouches for is in it, or in what its summary was made of."""
        return self.remembered.summary_untrusted or any(turn.untrusted for turn in self.remembered.turns)

    @property
    def summary(self) -> str:
        """Of the turns that fell out; empty while all are there."""
        return self.remembered.summary

    def add(self, said: RunResult | Sequence[Message], untrusted: bool = False) -> None:
        """`aadd` for code without an event loop."""
        run_sync(self.aadd(said, untrusted))

    async def aadd(self, said: RunResult | Sequence[Message], untrusted: bool = False) -> None:
        """Add what was said, and summarise the oldest turns when the budget is passed.

        Args:
            said: the result of a run after this conversation, or messages.
            untrusted: text that nobody vouches for is in the messages; a result knows for itself.

        Raises:
            UsageError: the result is of a run after another conversation, or a message is a system message.
            DecoderError: its leaves; the conversation is as it was.
        """
        if isinstance(said, RunResult):
            untrusted, said = said.untrusted, self._new(said)
        turns = await self._counted(_turns(self.remembered.turns, said, untrusted))
        now, kept = replace(self.remembered, turns=turns), KEPT
        while await self._count(now.messages) > self.tokens:
            fallen = _fallen(now.turns, int((self.tokens - self.summary_tokens) * kept))
            if not fallen:
                break
            now, kept = await self._without(now, fallen), kept / 2
        self.remembered = now

    def _new(self, result: RunResult) -> tuple[Message, ...]:
        before = self.messages
        if result.messages[: len(before)] != before:
            cause = "the result is of a run that did not go on from it"
            raise UsageError(STEP, cause, "Run the agent with after=conversation, or add the messages alone")
        return result.messages[len(before) :]

    async def _counted(self, turns: Iterable[Turn]) -> tuple[Turn, ...]:
        return tuple([t if t.tokens else replace(t, tokens=await self._count(t.messages)) for t in turns])

    async def _count(self, messages: Sequence[Message]) -> int:
        return await self.decoder.acount_tokens(messages) if messages else 0

    async def _without(self, now: Remembered, fallen: Sequence[Turn]) -> Remembered:
        summary = await self._summarise(now.summary, fallen)
        untrusted = now.summary_untrusted or any(turn.untrusted for turn in fallen)
        return Remembered(now.turns[len(fallen) :], summary, untrusted and bool(summary))

    async def _summarise(self, before: str, fallen: Sequence[Turn]) -> str:
        """What was said before and in these turns, within `summary_tokens`."""
        pieces = _pieces(fallen, await self._room())
        parts = [before] if before else []
        for piece in pieces:
            said = await self._ask("summarise-map", part=piece)
            parts += [] if said.rstrip(".").lower() in ("", "nothing") else [said]
        if len(parts) < 2:
            return parts[0] if parts else ""
        return await self._ask("summarise-reduce", summaries=parts) or before

    async def _room(self) -> int:
        """Tokens that one piece may have, so that the decoder can read it."""
        length = await self.decoder.acontext_length()
        if length is None:
            return self.tokens
        return max(64, min(self.tokens, length - self.summary_tokens - PROMPT_TOKENS))

    async def _ask(self, prompt_name: str, **values: object) -> str:
        from prompts.folders import load

        prompt = load(prompt_name)
        words = max(10, self.summary_tokens // 2)
        sampling = replace(prompt.sampling, max_tokens=self.summary_tokens)
        completion = await self.decoder.acomplete(
            prompt.render(focus=FOCUS, words=words, **values), sampling=sampling, constraint=prompt.constraint
        )
        text = completion.text.strip()
        return f"{text} …" if text and completion.finish_reason == "length" else text


def _turns(before: Sequence[Turn], said: Sequence[Message], untrusted: bool) -> list[Turn]:
    """The turns with what was said: each user's message begins one, whatever else goes to the one before it."""
    turns = list(before)
    for message in said:
        if message.role == "system":
            raise UsageError(STEP, "a system message is no part of a conversation", "Leave it out")
        if message.role == "user" or not turns:
            turns.append(Turn((message,), untrusted))
        else:
            last = turns[-1]
            turns[-1] = Turn((*last.messages, message), last.untrusted or untrusted)
    return turns


def _fallen(turns: Sequence[Turn], keep: int) -> tuple[Turn, ...]:
    """The oldest turns, so many that the others have at most `keep` tokens; a call that waits for its result stays."""
    stay, tokens = 0, 0
    for turn in reversed(turns):
        tokens += turn.tokens
        if tokens > keep and not turn.open:
            break
        stay += 1
    return tuple(turns[: len(turns) - stay])


def _pieces(turns: Sequence[Turn], room: int) -> list[str]:
    """The turns as text, in pieces of about `room` tokens and not more than MOST_PIECES of them."""
    text = "\n\n".join(_as_text(message) for turn in turns for message in turn.messages)
    count = max(1, -(-sum(turn.tokens for turn in turns) // room))
    size = max(1, -(-len(text) // count))
    shown, _ = shorten(text, size * MOST_PIECES)
    return [shown[start : start + size] for start in range(0, len(shown), size)][: MOST_PIECES + 1]


def _as_text(message: Message) -> str:
    content = message.content if isinstance(message.content, str) else _with_images(message)
    calls = "".join(f"\n(calls {call.name} with {call.arguments})" for call in message.tool_calls)
    return f"{message.role}: {content}{calls}"


def _with_images(message: Message) -> str:
    return "".join(part.text if isinstance(part, TextPart) else "(an image)" for part in message.content if part)
