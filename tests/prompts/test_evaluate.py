"""A prompt measured with a decoder whose answers are written by hand."""

import asyncio
import json

import pytest

from decoder.embedded import EmbeddedDecoder
from decoder.errors import ServerFailed, UsageError
from decoder.scripted import ScriptedDecoder
from decoder.types import Sampling
from prompts.evaluate import FAILURES, Row, Way, aevaluate, compare, evaluate
from prompts.extract import extractor
from prompts.items import read_items
from prompts.results import results_file
from prompts.rows import BadRow
from prompts.stopping import NEVER
from prompts.template import Prompt
from prompts.turns import Turn
from prompts.variables import Variable

ADDING = Prompt("adding", variables=(Variable("question"),), messages=(Turn("user", "Q: {{ question }}"),))
WORDY = Prompt(
    "wordy",
    variables=(Variable("task"), Variable("tone", default="plain")),
    messages=(Turn("user", "Be {{ tone }}. {{ task }}"),),
)
NUMBER = Way(extractor("number"))
ROWS = [{"question": f"{n} + 1?", "answer": n + 1} for n in range(6)]


def add(messages):
    """Right for even numbers, wrong for odd ones."""
    number = int(messages[-1].text.split()[-3])
    return f"It is easy. The answer is {number + 1 + number % 2}."


@pytest.fixture
def data(tmp_path):
    def write(*rows):
        path = tmp_path / "data.jsonl"
        path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
        return path

    return write


@pytest.fixture
def items(data):
    return lambda *rows, prompts=(ADDING,), kind="number": read_items(data(*rows), prompts, extractor(kind)).items


# Rows


def test_a_row_is_a_question_or_values_of_the_variables(items):
    (first, second, third) = items(
        {"question": "2 + 1?", "answer": 3},
        {"id": "x", "task": "4 + 1?", "tone": "brief", "answers": ["5", "$5.00"]},
        {"variables": {"task": "6 + 1?"}, "answer": "#### 7"},
        prompts=(WORDY,),
    )
    assert (first.id, first.values_for(WORDY), [found.key for found in first.right]) == ("1", {"task": "2 + 1?"}, ["3"])
    assert (second.id, second.values_for(WORDY)) == ("x", {"task": "4 + 1?", "tone": "brief"})
    assert second.answers == ("5", "$5.00")
    assert third.values_for(WORDY) == {"task": "6 + 1?"}


def test_two_prompts_take_of_a_row_what_they_have_variables_for(items):
    (item,) = items({"question": "2 + 1?", "tone": "brief", "answer": 3}, prompts=(ADDING, WORDY))
    assert item.values_for(ADDING) == {"question": "2 + 1?"}
    assert item.values_for(WORDY) == {"task": "2 + 1?", "tone": "brief"}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("{", "line 2: it is not JSON"),
        ("[1]", "line 2: it is not a JSON object"),
        ({"question": "?"}, "line 2, answer: it is missing"),
        ({"question": "?", "answer": ""}, "line 2, answer: it is empty"),
        ({"question": "?", "answer": 1, "answers": [1]}, "line 2, answers: there is an answer too"),
        ({"question": "?", "answers": 1}, "line 2, answers: it is no list"),
        ({"question": "?", "answer": "many"}, "line 2, answer: no number can be read in 'many'"),
        ({"qestion": "?", "answer": 1}, "line 2, qestion: no variable of this name. Known: question"),
        ({"question": 3, "answer": 1}, "line 2: adding cannot be rendered with it: question is string"),
        ({"answer": 1}, "line 2: adding cannot be rendered with it: question (string) has no value"),
        ({"variables": {"question": "?"}, "question": "?", "answer": 1}, "line 2, question: it stands beside"),
        ({"variables": [], "answer": 1}, "line 2, variables: it is no object"),
        ({"id": "1", "question": "?", "answer": 1}, "line 2, id: '1' stands in an earlier row"),
        ({"id": [], "question": "?", "answer": 1}, "line 2, id: it is neither"),
    ],
)
def test_rows_that_cannot_be_used_are_told_with_line_and_field(data, row, reason):
    path = data(ROWS[0], row, ROWS[1])
    with pytest.raises(BadRow) as caught:
        read_items(path, [ADDING], NUMBER.extractor)
    assert reason in str(caught.value)
    read = read_items(path, [ADDING], NUMBER.extractor, skip_bad=True)
    assert ([item.id for item in read.items], [bad.line for bad in read.bad]) == (["1", "3"], [2])


def test_a_file_without_rows_is_an_error(data, tmp_path):
    with pytest.raises(UsageError, match="holds no row"):
        read_items(data(""), [ADDING], NUMBER.extractor)
    with pytest.raises(UsageError, match="cannot be read"):
        read_items(tmp_path / "absent", [ADDING], NUMBER.extractor)
    assert len(read_items(data(*ROWS), [ADDING], NUMBER.extractor, limit=2).items) == 2


# Measuring


def test_accuracy_has_its_wilson_interval_and_every_item_its_row(items):
    found = evaluate(ScriptedDecoder(add), ADDING, items(*ROWS), NUMBER)
    summary = found.summary()
    accuracy = summary["accuracy"]
    assert (accuracy.value, accuracy.count) == (0.5, 6)
    assert (accuracy.low, accuracy.high) == pytest.approx((0.1876, 0.8124), abs=1e-4)
    assert summary["read"].value == 1.0
    assert summary["prompt_tokens"].value == 4.0
    assert summary["completion_tokens"].value == 7.0
    assert summary["answer_seconds"].count == 6
    assert found.rows[0] == Row(
        found.rows[0].key, "adding", "1", "1", "1", ("1",), "It is easy. The answer is 1.",
        {"accuracy": 1.0, "read": 1.0, "prompt_tokens": 4.0, "completion_tokens": 7.0}, found.rows[0].timings,
    )  # fmt: skip
    assert set(found.latency) == {"median", "p95"}


def test_an_error_of_the_decoder_is_kept_and_the_rest_goes_on(items):
    def answer(messages):
        return ServerFailed("asking", "it fell over") if "3 + 1" in messages[-1].text else add(messages)

    found = evaluate(ScriptedDecoder(answer), ADDING, items(*ROWS), NUMBER)
    assert found.failed == {"4": "asking: it fell over"}
    assert found.summary()["accuracy"].count == 6
    assert found.rows[3].metrics == {"accuracy": 0.0, "read": 0.0}
    assert found.summary()["completion_tokens"].count == 5


def test_a_decoder_that_is_gone_ends_the_run_and_what_was_kept_stays(items):
    kept, asked = [], []

    def answer(messages):
        asked.append(messages)
        return add(messages) if len(asked) <= 2 else ServerFailed("asking", "it is gone")

    many = items(*[{"question": f"{n} + 1?", "answer": n + 1} for n in range(200)])
    with pytest.raises(ServerFailed):
        evaluate(ScriptedDecoder(answer), ADDING, many, NUMBER, concurrency=2, keep=kept.append)
    assert sum(not row.error for row in kept) == 2
    assert len(asked) <= 2 + FAILURES + 2 + 2


def test_no_more_items_are_under_way_than_allowed(items):
    class Watched(ScriptedDecoder):
        now = peak = 0

        async def acomplete(self, *arguments, **options):
            self.now += 1
            self.peak = max(self.peak, self.now)
            await asyncio.sleep(0.01)
            self.now -= 1
            return await super().acomplete(*arguments, **options)

    decoder, seen = Watched(add), []
    found = asyncio.run(
        aevaluate(
            decoder, ADDING, items(*ROWS), NUMBER, concurrency=3, on_progress=lambda event: seen.append(event.done)
        )
    )
    assert decoder.peak == 3
    assert seen == list(range(7))
    assert [row.id for row in found.rows] == [str(n) for n in range(1, 7)]


def test_a_run_goes_on_where_it_stopped_and_asks_again_what_failed(items, tmp_path):
    path, every = tmp_path / "results.jsonl", items(*ROWS)
    failing = ScriptedDecoder(
        lambda messages: ServerFailed("asking", "busy") if "1 + 1" in messages[-1].text else add(messages)
    )
    with results_file(path, Row) as (known, keep):
        evaluate(failing, ADDING, every[:3], NUMBER, known=known, keep=keep)
    with path.open("a") as file:
        file.write('{"key": "half a li')
    decoder = ScriptedDecoder(add)
    with results_file(path, Row, resume=True) as (known, keep):
        found = evaluate(decoder, ADDING, every, NUMBER, known=known, keep=keep)
    assert (found.resumed, len(decoder.requests)) == (2, 4)
    assert found.failed == {}
    assert len(path.read_text().splitlines()) == 7
    with results_file(path, Row, resume=True) as (known, keep):
        again = evaluate(ScriptedDecoder([]), ADDING, every, NUMBER, known=known, keep=keep)
    assert (again.resumed, again.summary()["accuracy"].value) == (6, 0.5)


def test_a_result_holds_only_for_the_same_question_prompt_and_way(items, tmp_path):
    (item,), path = items(ROWS[0]), tmp_path / "results.jsonl"
    other_prompt = Prompt("adding", variables=ADDING.variables, messages=(Turn("user", "Please: {{ question }}"),))
    ways = [
        NUMBER,
        Way(extractor("text")),
        Way(NUMBER.extractor, Sampling(temperature=0.5)),
        Way(NUMBER.extractor, samples=3),
    ]
    cases = [(ADDING, way) for way in ways] + [(other_prompt, NUMBER)]
    with results_file(path, Row) as (known, keep):
        for prompt, way in cases:
            evaluate(ScriptedDecoder(add), prompt, [item], way, known=known, keep=keep)
    assert len({json.loads(line)["key"] for line in path.read_text().splitlines()}) == len(cases)


def test_self_consistency_is_measured_with_its_samples(items):
    drawn = iter(["The answer is 2.", "The answer is 1.", "The answer is 1."] * 6)
    decoder = ScriptedDecoder(lambda messages: next(drawn))
    found = evaluate(decoder, ADDING, items(ROWS[0]), Way(NUMBER.extractor, samples=3, stopping=NEVER))
    row = found.rows[0]
    assert (row.answer, row.output) == ("1", "The answer is 1.")
    assert row.metrics["accuracy"] == 1.0
    assert row.metrics["samples"] == 3.0
    assert row.metrics["confidence"] == pytest.approx(2 / 3)
    assert row.metrics["completion_tokens"] == 12.0


def test_a_greedy_prompt_is_sampled_warmly_for_self_consistency(items):
    greedy = Prompt("greedy", variables=ADDING.variables, sampling=Sampling(temperature=0), messages=ADDING.messages)
    decoder = ScriptedDecoder(add)
    evaluate(decoder, greedy, items(ROWS[0], prompts=(greedy,)), Way(NUMBER.extractor, samples=4))
    assert {request.sampling.temperature for request in decoder.requests} == {0.7}
    with pytest.raises(UsageError, match="all samples are alike"):
        way = Way(NUMBER.extractor, Sampling(temperature=0), samples=4)
        evaluate(decoder, greedy, items(ROWS[0], prompts=(greedy,)), way)


def test_a_prompt_with_a_schema_is_constrained_and_its_field_is_read(items):
    schema = {
        "type": "object",
        "properties": {"sum": {"type": "integer"}},
        "required": ["sum"],
        "additionalProperties": False,
    }
    prompt = Prompt("summing", variables=ADDING.variables, schema=schema, messages=ADDING.messages)
    rows = items(ROWS[0], ROWS[1], prompts=(prompt,), kind="json:sum")
    decoder = ScriptedDecoder(['{"sum": 1}', '{"sum": 3}'])
    found = evaluate(decoder, prompt, rows, Way(extractor("json:sum")), concurrency=1)
    assert [row.metrics["accuracy"] for row in found.rows] == [1.0, 0.0]
    assert {request.constraint.kind for request in decoder.requests} == {"json"}


def test_two_prompts_are_compared_item_by_item(items):
    rows = items(*ROWS, prompts=(ADDING, WORDY))
    first = evaluate(ScriptedDecoder(add), ADDING, rows, NUMBER)

    def add_rightly(messages):
        return f"The answer is {int(messages[-1].text.split()[-3]) + 1}."

    second = evaluate(ScriptedDecoder(add_rightly), WORDY, rows, NUMBER)
    found = compare(first, second)
    assert found["accuracy"].value == 0.5
    assert 0 < found["accuracy"].low < 0.5 < found["accuracy"].high <= 1
    assert found["accuracy"].count == 6
    assert (found["completion_tokens"].value, found["completion_tokens"].low) == (-3.0, -3.0)
    assert compare(first, second) == found
    assert compare(second, first)["accuracy"].value == -0.5


def test_nothing_to_measure_is_an_error():
    with pytest.raises(UsageError, match="no items"):
        evaluate(ScriptedDecoder([]), ADDING, [], NUMBER)


def test_a_real_model_is_measured(items, tiny_llama):
    way = Way(extractor("regex:(.*)"), Sampling(max_tokens=4, seed=1))
    with EmbeddedDecoder(tiny_llama) as decoder:
        found = evaluate(decoder, ADDING, items(*ROWS[:2], kind="text"), way)
    assert found.failed == {}
    assert found.summary()["completion_tokens"].value <= 4
    assert found.summary()["accuracy"].value == 0.0
