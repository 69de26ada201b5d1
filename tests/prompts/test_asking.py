"""A prompt put to a decoder: constrained and parsed; or looked for, mended once, and refused by type."""

import json
import pickle
from dataclasses import dataclass
from typing import Annotated, Literal, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel

from decoder.errors import ServerFailed
from decoder.scripted import ScriptedDecoder
from decoder.types import Choice, Completion, Sampling, Usage
from prompts import (
    OutputMalformed,
    OutputTruncated,
    Prompt,
    Turn,
    aask,
    ajudge,
    ask,
    chain_of_thought,
    judge,
    output_format,
)
from prompts.asking import merged
from prompts.reading import Form, Unreadable, pieces, read, read_tolerantly

ASK = Prompt("ask", messages=(Turn("user", "Who came?"),), sampling=Sampling(temperature=0, max_tokens=50))


class Person(BaseModel):
    name: str
    age: int


@dataclass
class Visit:
    guest: Literal["Ann", "Ole"]
    hours: int
    fireside: bool


class Thing(TypedDict):
    name: str


def even(value):
    if value % 2:
        raise ValueError("it is odd")
    return value


class Pair(BaseModel):
    count: Annotated[int, AfterValidator(even)]


def plain(*script, **more):
    """A decoder that enforces nothing."""
    return ScriptedDecoder(script, constraints=(), **more)


ANN = '{"name": "Ann", "age": 3}'


# Without a schema


def test_a_text_is_the_value():
    decoder = plain("Ann did.")
    reply = ask(decoder, ASK)
    assert (reply.text, reply.value, reply.reasoning, reply.repaired, reply.truncated) == (
        *["Ann did."] * 2,
        None,
        False,
        False,
    )
    assert decoder.requests[0].sampling == ASK.sampling
    assert decoder.requests[0].messages == reply.messages == ASK.render()


def test_a_text_may_be_cut_off():
    assert ask(plain("Ann and Ole did."), ASK, sampling=Sampling(max_tokens=2)).truncated


@given(st.integers(1, 9) | st.none(), st.floats(0, 2) | st.none())
def test_sampling_of_the_call_takes_the_place_of_the_prompts(tokens, temperature):
    drawn = merged(Sampling(temperature=0.5, top_p=0.5), Sampling(max_tokens=tokens, temperature=temperature))
    assert drawn == Sampling(temperature=0.5 if temperature is None else temperature, top_p=0.5, max_tokens=tokens)
    assert merged(drawn, None) == drawn


# With a decoder that enforces the schema


@pytest.mark.parametrize(
    ("form", "text", "value"),
    [
        (Person, ANN, Person(name="Ann", age=3)),
        (Visit, '{"guest": "Ann", "hours": 2, "fireside": true}', Visit("Ann", 2, True)),
        (Thing, '{"name": "chair"}', {"name": "chair"}),
        (list[Person], f"[{ANN}]", [Person(name="Ann", age=3)]),
        ({"type": "object", "properties": {"name": {"type": "string"}}}, ANN, {"name": "Ann", "age": 3}),
        (int, "42", 42),
    ],
)
async def test_output_is_an_instance_of_the_class(form, text, value):
    decoder = ScriptedDecoder([text])
    reply = await aask(decoder, output_format(ASK, form))
    assert reply.value == value
    assert type(reply.value) is type(value)
    assert decoder.requests[0].constraint.kind == "json"


def test_reasoning_is_read_apart():
    text = '{"reasoning": "Ann said so.", "name": "Ann", "age": 3}'
    reply = ask(ScriptedDecoder([text]), output_format(chain_of_thought(ASK), Person))
    assert (reply.value, reply.reasoning) == (Person(name="Ann", age=3), "Ann said so.")


def test_truncation_has_a_type_of_its_own_and_is_not_asked_again():
    decoder = ScriptedDecoder(['{"name": "Ann or perhaps somebody else", "age": 3}'])
    with pytest.raises(OutputTruncated, match="max_tokens ended the output after 3 tokens") as caught:
        ask(decoder, output_format(ASK, Person), sampling=Sampling(max_tokens=3))
    assert caught.value.text == '{"name": "Ann or'
    assert len(decoder.requests) == 1
    assert pickle.loads(pickle.dumps(caught.value)).text == caught.value.text


class Cut(ScriptedDecoder):
    """Says of everything that max_tokens ended it."""

    async def acomplete(self, prompt, **more):
        completion = await super().acomplete(prompt, **more)
        choices = tuple(Choice(c.text, "length") for c in completion.choices)
        return Completion(choices, Usage(5, 7, 2), "cut")


def test_what_is_whole_at_the_limit_counts_and_what_may_go_on_does_not():
    assert ask(Cut([ANN]), output_format(ASK, Person)).value == Person(name="Ann", age=3)
    with pytest.raises(OutputTruncated, match="after 7 tokens"):
        ask(Cut(["12"]), output_format(ASK, int))


def test_a_check_that_no_schema_can_express_is_mended_once_then_refused():
    decoder = ScriptedDecoder(['{"count": 3}', '{"count": 4}'])
    reply = ask(decoder, output_format(ASK, Pair))
    assert reply.value == Pair(count=4)
    assert reply.repaired
    assert "it is odd" in decoder.requests[1].messages[-1].text
    with pytest.raises(OutputMalformed, match="it is odd"):
        ask(ScriptedDecoder(['{"count": 3}', '{"count": 5}']), output_format(ASK, Pair))


FORMS = [Visit, Person, Thing, list[bool], dict[str, int], Literal["yes", "no"]]


@pytest.mark.timeout(280)
async def test_random_weights_never_fail_to_parse(tiny_llama):
    """By construction: what is not cut off is an instance, at the first time of asking."""
    from decoder.embedded import EmbeddedDecoder

    finished = truncated = 0
    async with EmbeddedDecoder(tiny_llama) as decoder:
        for form in FORMS:
            prompt = output_format(ASK, form)
            for seed in range(10):
                sampling = Sampling(temperature=1.0, seed=seed, max_tokens=60)
                try:
                    reply = await aask(decoder, prompt, sampling=sampling)
                except OutputTruncated:
                    truncated += 1
                else:
                    finished += 1
                    assert not reply.repaired
                    assert prompt.schema
    assert finished + truncated == 60
    assert finished >= 10, "random weights hardly ever ended; raise max_tokens"


# With a decoder that enforces nothing


@pytest.mark.parametrize(
    "text",
    [
        ANN,
        f"```json\n{ANN}\n```",
        f"```\n{ANN}\n```",
        f"Sure! Here it is:\n\n```json\n{ANN}\n```\nAnything else?",
        f"The answer is {ANN}, I think.",
        f'<think>{{"name": "Ole", "age": 1}} no</think>{ANN}',
        f'First {{"name": 1}}, no: {ANN}',
        f"{{not json}} {ANN}",
        f"[1] says {ANN}",
        ANN.replace(", ", ",\n  "),
    ],
)
async def test_json_is_found_where_it_stands(text):
    reply = await aask(plain(text), output_format(ASK, Person))
    assert reply.value == Person(name="Ann", age=3)
    assert not reply.repaired


@pytest.mark.parametrize(
    "text",
    [
        "Ann came.",
        "",
        "{}",
        "{'name': 'Ann', 'age': 3}",
        '{"name": "Ann", "age": 3',
        '{"name": "Ann", "age": 3,}',
        '{"name": "Ann", "age": NaN}',
        '{"name": "Ann"}',
        '{"name": "Ann", "age": "three"}',
        f"[{ANN}",
        '"{}"',
        "null",
        "[" * 100_000,
    ],
)
async def test_what_is_no_json_of_the_schema_is_asked_for_once_more_and_never_guessed(text):
    decoder = plain(text, ANN)
    prompt = output_format(ASK, Person)
    if text == f"[{ANN}":
        assert (await aask(decoder, prompt)).value == Person(name="Ann", age=3)
        return
    reply = await aask(decoder, prompt)
    assert reply.repaired
    assert reply.value == Person(name="Ann", age=3)
    first, again = decoder.requests
    assert again.messages[: len(first.messages)] == first.messages
    assert [m.role for m in again.messages[-2:]] == ["assistant", "user"]
    assert again.messages[-1].text.startswith("That cannot be read: ")
    assert len(again.messages[-1].text) < 700
    decoder = plain(text, text)
    with pytest.raises(OutputMalformed, match="nor after one repair") as caught:
        await aask(decoder, prompt)
    assert caught.value.text == text
    assert len(decoder.requests) == 2


def test_the_usage_of_both_requests_is_counted():
    reply = ask(plain("no", ANN), output_format(ASK, Person))
    counted = [c.usage.total_tokens for c in reply.completions]
    assert len(counted) == 2
    assert reply.usage.total_tokens == sum(counted)


def test_an_error_of_the_decoder_passes_through():
    with pytest.raises(ServerFailed):
        ask(plain(ServerFailed("a", "b")), output_format(ASK, Person))


SCHEMA = Form({"type": "object", "properties": {"a": {}}, "required": ["a"]})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(max_examples=100, deadline=None)
@given(JSON, st.text(st.characters(exclude_characters="{[`", exclude_categories=["Cs"])), st.booleans())
def test_an_object_in_any_prose_is_found_whole(value, prose, ascii_only):
    text = json.dumps({"a": value}, ensure_ascii=ascii_only)
    if "</think>" not in text and "```" not in text:
        found = read_tolerantly(f"{prose} {text} {prose}", SCHEMA)
        assert found.value == json.loads(text)
        assert found.piece == text


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from('{}[]",:a1 \n`\\u') | st.characters()))
def test_any_text_is_read_or_refused(text):
    assert len(list(pieces(text))) < 200
    try:
        assert "a" in read_tolerantly(text, SCHEMA).value
    except Unreadable as error:
        assert len(str(error)) < 500


def test_half_a_character_does_not_stop_an_instance():
    """JSON's grammar allows an escape of half a surrogate pair, which a constrained model may write."""
    form = Form(output_format(ASK, Person).schema, Person)
    assert read('{"name": "a\\ud83d", "age": 3}', form).value.name == "a\ufffd"
    assert read('{"name": "\\ud83d\\ude00", "age": 3}', form).value.name == "😀"


# Two answers compared in both orders


def verdict(word):
    return json.dumps({"reasons": "because", "verdict": word})


def by_text(better):
    """A judge that prefers the answer with these words, wherever it stands."""

    def answer(messages):
        asked = messages[-1].text
        return verdict("first" if asked.index(better) < asked.index("<<<passage 2") else "second")

    return answer


async def test_a_fair_judge_is_believed_and_exchanging_the_answers_exchanges_the_verdict():
    there = await ajudge(ScriptedDecoder(by_text("good")), "Why?", "a good one", "a bad one")
    back = await ajudge(ScriptedDecoder(by_text("good")), "Why?", "a bad one", "a good one")
    assert (there.verdict, back.verdict) == ("first", "second")
    assert there.consistent and back.consistent


@pytest.mark.parametrize("place", ["first", "second"])
def test_a_judge_that_favours_a_place_is_not(place):
    found = judge(ScriptedDecoder([verdict(place)] * 2), "Why?", "a", "b")
    assert (found.verdict, found.consistent) == ("tie", False)


def test_a_tie_in_both_orders_is_a_tie():
    found = judge(ScriptedDecoder([verdict("tie")] * 2), "Why?", "a", "b")
    assert (found.verdict, found.consistent) == ("tie", True)
