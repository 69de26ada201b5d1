"""The stable part comes first, by the count of a real vLLM: what it had in its cache, and what it had not."""

import json
from dataclasses import dataclass
from typing import Literal

import pytest

from decoder.client import ServedDecoder
from decoder.types import Message, Sampling
from prompts import Example, OutputTruncated, Prompt, Turn, Variable, aask, few_shot, load, output_format, role

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(300)]
BLOCK = 128
"""Tokens that vLLM's cache on a CPU holds together: what does not fill one is computed again."""
SHORT = Sampling(temperature=0, max_tokens=4)
RULES = "Answer like somebody who sits by the fire and has seen many winters come and go. " * 12
CASES = [Example(f"Who gathers round hearth number {n}?", f"The people of house {n}.") for n in range(4)]


@pytest.fixture
async def decoder(vllm_server, vllm_home, monkeypatch):
    monkeypatch.setenv("HEARTH_HOME", str(vllm_home))
    async with ServedDecoder(vllm_server.base_url, vllm_server.model) as served:
        yield served


async def cached(decoder, prompt, one, other):
    """Tokens of the second conversation that the first had left in the cache."""
    first = await decoder.acomplete(prompt.render(**one), sampling=SHORT)
    second = await decoder.acomplete(prompt.render(**other), sampling=SHORT)
    assert not first.usage.cached_tokens
    return second.usage.cached_tokens or 0


async def stable_tokens(decoder, prompt):
    """Tokens of the turns before the first that changes, without the header of the next."""
    stable = prompt.bind(**dict.fromkeys(prompt.volatile, "x")).render()[: prompt.stable_turns]
    with_answer = await decoder.acount_tokens([*stable, Message("assistant", "")])
    return min(with_answer, await decoder.acount_tokens(stable))


async def test_what_techniques_add_is_computed_once(decoder):
    prompt = few_shot(role(load("zero-shot").bind(task=RULES), "an old neighbour"), CASES)
    stable = await stable_tokens(decoder, prompt)
    assert stable > 3 * BLOCK
    hits = await cached(decoder, prompt, {"input": "When does spring come?"}, {"input": "How is bread baked?"})
    assert hits >= (stable // BLOCK - 1) * BLOCK > BLOCK


async def test_of_a_librarys_prompt_with_untrusted_text_too(decoder):
    prompt = load("pairwise-judge")
    stable = await stable_tokens(decoder, prompt)
    one = {"question": "Why?", "first": "Because.", "second": "For no reason."}
    hits = await cached(decoder, prompt, one, {**one, "question": "When?", "second": "Never."})
    assert hits >= (stable // BLOCK - 1) * BLOCK > BLOCK


async def test_the_other_way_round_nothing_is(decoder):
    """What the order is for: the same words with the question in front."""
    turns = (Turn("system", "{{ input }}\n\n" + RULES), Turn("user", "Answer."))
    prompt = Prompt("backwards", variables=(Variable("input"),), messages=turns)
    assert await cached(decoder, prompt, {"input": "When does spring come?"}, {"input": "How is bread baked?"}) == 0


@dataclass
class Visit:
    guest: Literal["Ann", "Ole"]
    hours: int
    fireside: bool


async def test_output_of_random_weights_is_always_an_instance_of_the_class(decoder):
    prompt = output_format(load("zero-shot").bind(task="Who came?"), Visit)
    truncated = 0
    for seed in range(12):
        sampling = Sampling(temperature=1.0, seed=seed, max_tokens=80)
        try:
            reply = await aask(decoder, prompt, {"input": f"Visit {seed}"}, sampling)
        except OutputTruncated as error:
            truncated += 1
            with pytest.raises(json.JSONDecodeError):
                json.loads(error.text)
        else:
            assert isinstance(reply.value, Visit)
            assert not reply.repaired
    assert truncated < 12
