"""Self-consistency with a decoder whose samples are written by hand, and with a real model in process."""

import asyncio
from dataclasses import replace

import pytest

from decoder.base import Decoder, run_sync
from decoder.client import ServedDecoder
from decoder.embedded import EmbeddedDecoder
from decoder.errors import ConnectFailed, DecoderTimeout, MalformedResponse, RequestRefused, ServerFailed, UsageError
from decoder.recorded import RecordedDecoder
from decoder.scripted import ScriptedDecoder
from decoder.types import Choice, Completion, Sampling, TokenLogprob, Usage
from prompts.confidence import p_true, response_probability
from prompts.consistency import aself_consistency, self_consistency
from prompts.stopping import NEVER, Stopping

QUESTION = "How many eggs are left?"


def says(*answers):
    return [f"Let us count. The answer is {answer}." for answer in answers]


class Drawn(Decoder):
    """Samples by seed: sample i of any request is `answers[seed + i]`. Keeps what it was asked.

    Args:
        most: samples of one request; more are refused with `refusal`, or, when that is None, left out.
        fails: seeds that raise.
        logprob: of every token; None gives none.
        delay: seconds of every request.
    """

    model = "drawn"

    def __init__(self, answers, most=40, refusal=None, fails=(), logprob=None, delay=0.0):
        self.answers, self.most, self.refusal, self.fails = answers, most, refusal, fails
        self.logprob, self.delay, self.asked, self.running, self.peak = logprob, delay, [], 0, 0

    def astream(self, prompt, **options):
        raise NotImplementedError

    async def acount_tokens(self, prompt):
        return 7

    async def acomplete(self, prompt, *, sampling=None, constraint=None, tools=()):
        self.asked.append(sampling)
        self.running += 1
        self.peak = max(self.peak, self.running)
        try:
            await asyncio.sleep(self.delay)
        finally:
            self.running -= 1
        if sampling.n > self.most and self.refusal is not None:
            raise self.refusal
        seeds = range(sampling.seed, sampling.seed + min(sampling.n, self.most))
        if set(seeds) & set(self.fails):
            raise ServerFailed("asking", "the server died")
        choices = [self._choice(at, self.answers[seed], sampling) for at, seed in enumerate(seeds)]
        used = sum(min(10, sampling.max_tokens or 10) for _ in choices)
        return Completion(tuple(choices), Usage(7, used), self.model)

    def _choice(self, index, answer, sampling):
        cut = sampling.max_tokens is not None and sampling.max_tokens < 10
        mean = answer[1] if isinstance(answer, tuple) else self.logprob
        text = answer[0] if isinstance(answer, tuple) else answer
        scores = (
            (TokenLogprob("x", mean), TokenLogprob("y", mean))
            if mean is not None and sampling.logprobs is not None
            else None
        )
        return Choice(text[:5] if cut else text, "length" if cut else "stop", index, logprobs=scores)


def test_samples_that_agree_need_one_window_and_share_one_prefill():
    decoder = Drawn(says(*[7] * 40))
    found = self_consistency(decoder, QUESTION)
    assert (found.answer.key, found.stopped, found.confidence) == ("7", "unanimous", 1.0)
    assert [sampling.n for sampling in decoder.asked] == [4]
    assert (len(found.samples), found.requests, found.asked) == (4, 1, 40)
    assert found.usage == Usage(7, 40)
    assert found.tokens_saved == 36 * 10
    assert found.prefill_saved == 3 * 7
    assert found.text == says(7)[0]
    assert found.lead == pytest.approx(1 - 1 / 32)


def test_samples_that_differ_are_drawn_on_until_one_answer_leads():
    decoder = Drawn(says(7, 8, 7, 7, 7, 7, 7, 9, 7, 7, 7, 7))
    found = self_consistency(decoder, QUESTION, samples=12, stopping=Stopping(worth=None))
    assert (found.answer.key, found.stopped) == ("7", "sure")
    assert [sampling.n for sampling in decoder.asked] == [4, 2, 2]
    assert [(vote.key, vote.count) for vote in found.votes] == [("7", 6), ("8", 1), ("9", 1)]


def test_every_sample_has_a_seed_of_its_own_across_windows():
    decoder = Drawn(says(*range(40)))
    self_consistency(decoder, QUESTION, samples=11, stopping=NEVER, sampling=Sampling(seed=20))
    assert [(sampling.seed, sampling.n) for sampling in decoder.asked] == [(20, 4), (24, 4), (28, 3)]
    again = Drawn(says(*range(40)), most=1, refusal=MalformedResponse("asking", "the server made 1 of 4 choices"))
    self_consistency(again, QUESTION, samples=11, stopping=NEVER, sampling=Sampling(seed=20))
    assert sorted(sampling.seed for sampling in again.asked if sampling.n == 1) == list(range(20, 31))


def test_a_recording_does_not_give_every_window_the_same_samples(tmp_path):
    path = tmp_path / "recording.jsonl"
    with RecordedDecoder(path, ScriptedDecoder(says(*range(8)))) as decoder:
        found = self_consistency(decoder, QUESTION, samples=8, stopping=NEVER)
    assert len({sample.text for sample in found.samples}) == 8
    with RecordedDecoder(path) as replayed:
        again = self_consistency(replayed, QUESTION, samples=8, stopping=NEVER)
    assert again.samples == found.samples


@pytest.mark.parametrize(
    "refusal", [None, MalformedResponse("asking", "1 of 4 choices"), RequestRefused("asking", "n must be 1")]
)
def test_a_decoder_without_n_is_asked_one_by_one_a_window_at_once(refusal):
    decoder = Drawn(says(*[7, 8] * 5), most=1, refusal=refusal)
    found = self_consistency(decoder, QUESTION, samples=10, stopping=NEVER)
    assert [vote.count for vote in found.votes] == [5, 5]
    assert found.answer.key == "7"  # a tie goes to the first
    assert [sampling.n for sampling in decoder.asked].count(4) == 1  # it is not asked for several again
    assert decoder.peak == 4
    assert (found.failed, found.prefill_saved) == (0, 0)
    assert found.samples == self_consistency(Drawn(says(*[7, 8] * 5)), QUESTION, samples=10, stopping=NEVER).samples


def test_a_failing_sample_does_not_lose_the_others():
    decoder = Drawn(says(*[7] * 10), fails={1, 6})
    found = self_consistency(decoder, QUESTION, samples=10, stopping=NEVER)
    assert (found.failed, found.unread, found.votes[0].count) == (2, 0, 8)
    assert [sample.index for sample in found.samples if sample.error] == [1, 6]
    assert "the server died" in found.samples[1].error
    assert [sampling.n for sampling in decoder.asked].count(4) == 2  # windows are tried whole again


def test_a_decoder_that_fails_altogether_ends_the_drawing_and_keeps_what_was_drawn():
    found = self_consistency(Drawn(says(*[7] * 40), fails=range(4, 40)), QUESTION, stopping=NEVER)
    assert (found.stopped, found.votes[0].count, found.failed) == ("failing", 4, 4)
    with pytest.raises(ServerFailed):
        self_consistency(Drawn(says(*[7] * 40), fails=range(40)), QUESTION)
    gone = Drawn([], refusal=ConnectFailed("asking", "nobody there"), most=0)
    with pytest.raises(ConnectFailed):
        self_consistency(gone, QUESTION)
    assert len(gone.asked) == 1  # asking one by one would be in vain


def test_unreadable_samples_are_counted_apart_and_do_not_vote():
    texts = ["I do not know.", *says(7), "Hm.", *says(7, 8, 7)]
    found = self_consistency(Drawn(texts), QUESTION, samples=6, stopping=NEVER)
    assert (found.unread, found.failed) == (2, 0)
    assert (found.answer.key, found.confidence) == ("7", 0.75)
    nothing = self_consistency(Drawn(["Hm."] * 8), QUESTION, samples=8)
    assert (nothing.answer, nothing.votes, nothing.confidence, nothing.text) == (None, (), 0.0, "")
    assert (nothing.unread, nothing.stopped) == (8, "all")


def test_a_sample_that_was_cut_off_votes_only_when_its_answer_was_announced():
    def answer(messages):
        return "3 + 4 = 7 and the rest" if len(decoder.requests) % 2 else "The answer is 8, since there are"

    decoder = ScriptedDecoder(answer)
    found = self_consistency(decoder, QUESTION, samples=2, sampling=Sampling(max_tokens=5), stopping=NEVER)
    assert {sample.finish_reason for sample in found.samples} == {"length"}
    assert found.unread == 2
    decoder = ScriptedDecoder(["The answer is 8, since there are"] * 2)
    found = self_consistency(decoder, QUESTION, samples=2, sampling=Sampling(max_tokens=5), stopping=NEVER)
    assert (found.answer.key, found.unread) == ("8", 0)


# Budgets


def test_a_budget_of_tokens_is_never_passed():
    for budget in (20, 37, 60, 111, 200, 1000):
        found = self_consistency(Drawn(says(*range(40))), QUESTION, stopping=replace(NEVER, tokens=budget))
        assert found.usage.total_tokens <= budget
        assert found.stopped == ("all" if budget == 1000 else "tokens")
    with pytest.raises(UsageError, match="do not hold the prompt"):
        self_consistency(Drawn(says(1)), QUESTION, stopping=Stopping(tokens=7))


def test_a_budget_of_seconds_ends_the_drawing_with_what_there_is():
    class Slow(Drawn):
        async def acomplete(self, prompt, *, sampling=None, **options):
            if sampling.seed >= 4:
                await asyncio.sleep(60)
            return await super().acomplete(prompt, sampling=sampling, **options)

    found = self_consistency(Slow(says(*range(40))), QUESTION, stopping=replace(NEVER, seconds=0.3))
    assert (found.stopped, len(found.samples)) == ("seconds", 4)
    with pytest.raises(DecoderTimeout, match="no sample came within"):
        self_consistency(Drawn(says(7), delay=60), QUESTION, stopping=Stopping(seconds=0.05))


# Weighted votes


def test_votes_by_log_probability_ask_for_it_and_refuse_to_do_without():
    texts = [(text, -2.0) for text in says(7, 7, 7)] + [(text, -0.1) for text in says(8)]
    decoder = Drawn(texts)
    assert self_consistency(decoder, QUESTION, samples=4, stopping=NEVER).answer.key == "7"
    assert decoder.asked[0].logprobs is None
    found = self_consistency(decoder, QUESTION, samples=4, vote="logprob", stopping=NEVER)
    assert found.answer.key == "8"
    assert decoder.asked[-1].logprobs == 0
    assert found.samples[3].logprob == pytest.approx(-0.1)
    with pytest.raises(UsageError, match="no log-probability"):
        self_consistency(Drawn(says(*[7] * 4)), QUESTION, vote="logprob")


def test_votes_by_confidence_ask_the_model_about_its_own_sample():
    def answer(messages):
        if "right?" not in messages[-1].text:
            return next(answers)
        assert messages[:-2] == decoder.requests[0].messages  # a prefix of what was asked, which a cache can serve
        return "1" if "answer is 8" in messages[-2].text else "0"

    answers = iter(says(7, 7, 8, 8))
    decoder = ScriptedDecoder(answer)
    found = self_consistency(decoder, QUESTION, samples=4, vote="confidence", temperature=0.1, stopping=NEVER)
    assert found.answer.key == "8"
    assert [sample.confidence for sample in found.samples] == [0.0, 0.0, 1.0, 1.0]
    assert found.confidence > 0.99
    assert found.usage.completion_tokens == sum(len(text.split()) for text in says(7, 7, 8, 8)) + 4


def test_confidence_is_read_from_probabilities_where_there_are_any():
    class Told(Drawn):
        async def acomplete(self, prompt, *, sampling=None, **options):
            score = TokenLogprob("1", -0.2, top=(("1", -0.2), (" 0", -1.7), ("maybe", -4.0)))
            return Completion((Choice("1", "stop", logprobs=(score,)),), Usage(9, 1))

    sure, usage = asyncio.run(p_true(Told([]), (), Choice("7", "stop")))
    assert sure == pytest.approx(1 / (1 + 2.718281828 ** (-1.7 + 0.2)))
    assert usage == Usage(9, 1)
    choice = Choice("7", "stop", logprobs=(TokenLogprob("7", -0.5), TokenLogprob(".", -1.5)))
    assert asyncio.run(response_probability(Told([]), (), choice))[0] == pytest.approx(2.718281828**-1)
    with pytest.raises(UsageError, match="no log-probabilities"):
        asyncio.run(response_probability(Told([]), (), Choice("7", "stop")))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"samples": 0}, "below 1"),
        ({"sampling": Sampling(temperature=0)}, "all samples are alike"),
        ({"sampling": Sampling(n=3)}, "n=3"),
        ({"vote": "loudest"}, "no vote"),
        ({"extract": "nothing"}, "no kind of answer"),
    ],
)
def test_arguments_that_cannot_be_used(arguments, reason):
    with pytest.raises(UsageError, match=reason):
        self_consistency(Drawn(says(7)), QUESTION, **arguments)


async def test_the_async_twin_and_the_progress():
    seen = []
    found = await aself_consistency(
        Drawn(says(7, 8, 9, 7, 7, 7)),
        QUESTION,
        samples=6,
        stopping=NEVER,
        on_window=lambda votes, n: seen.append((votes[0].count, n)),
    )
    assert found.answer.key == "7"
    assert seen == [(2, 4), (4, 6)]


def test_a_real_model_draws_different_samples_and_repeats_itself(tiny_llama):
    with EmbeddedDecoder(tiny_llama) as decoder:
        arguments = {
            "extract": r"regex:\S+",
            "samples": 6,
            "sampling": Sampling(max_tokens=8, seed=3),
            "vote": "logprob",
        }
        found = self_consistency(decoder, QUESTION, stopping=NEVER, **arguments)
        again = self_consistency(decoder, QUESTION, stopping=NEVER, **arguments)
    assert found.samples == again.samples
    assert len({sample.text for sample in found.samples}) > 1
    assert found.requests == 2
    assert found.usage.completion_tokens <= 48
    assert all(sample.logprob < 0 for sample in found.samples if sample.finish_reason)


@pytest.mark.vllm
def test_a_real_server_shares_one_prefill_among_the_samples_of_a_window(vllm_server):
    asked = "Count the eggs that are left in the basket, one after another. " * 20
    with ServedDecoder(vllm_server.base_url) as decoder:
        prompt_tokens = run_sync(decoder.acount_tokens(asked))
        found = self_consistency(
            decoder,
            asked,
            extract=r"regex:\S+",
            samples=8,
            vote="logprob",
            sampling=Sampling(max_tokens=8),
            stopping=Stopping(window=5, step=3, unanimous=False, sure=None, worth=None, settled=False),
        )
    assert (len(found.samples), found.requests, found.failed) == (8, 2, 0)
    assert found.usage.prompt_tokens == 2 * prompt_tokens  # once a request, not once a sample
    assert found.prefill_saved == 6 * prompt_tokens
    assert found.usage.cached_tokens > 0.8 * prompt_tokens  # the second window found the first one's
    assert len({sample.text for sample in found.samples}) > 4
    assert all(sample.logprob < 0 for sample in found.samples)
