"""The tasks of hearth-tiny: what a template draws is right, has the answer that it says, and belongs to one split."""

import re
from itertools import pairwise
from random import Random

import pytest

from alignment.errors import DataError
from alignment.tiny.arithmetic import LARGEST, drill, problem
from alignment.tiny.dialogue import dialogue
from alignment.tiny.facts import RELATIONS, grounded
from alignment.tiny.grounding import brief, wordy
from alignment.tiny.public import paragraphs
from alignment.tiny.records import order
from alignment.tiny.words import names_in, person, place, split_of
from prompts.grounded import REFUSAL

SPLITS = pytest.mark.parametrize("split", ["train", "test"])
RESULTS = {"+": int.__add__, "-": int.__sub__, "×": int.__mul__, "÷": int.__floordiv__}
STEP = re.compile(r"(\d+) ([+×÷-]) (\d+) = (\d+)")
SUBJECT = r"((?:the \w+ of )?[A-Z]\w+)"


def calculated(line):
    """The first number and the result of a line, which has to be right."""
    left, sign, right, result = STEP.fullmatch(line).groups()
    assert RESULTS[sign](int(left), int(right)) == int(result), line
    assert sign != "÷" or int(left) % int(right) == 0, line
    return int(left), int(result)


@SPLITS
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_every_step_of_a_solution_is_right_and_goes_on_from_the_one_before(split, steps):
    for seed in range(200):
        made = problem(Random(seed), split, steps)
        lines = made.solution.split("\n")
        assert len(lines) == steps + 1
        numbers = [calculated(line) for line in lines[:-1]]
        assert all(after[0] == before[1] for before, after in pairwise(numbers))
        assert lines[-1] == f"Answer: {made.answer}" and made.answer == numbers[-1][1]
        assert max(int(number) for number in re.findall(r"\d+", made.question + made.solution)) <= LARGEST


def test_drills_are_right():
    for seed in range(300):
        calculated(drill(Random(seed)))


def asked_of(question):
    """The relations and subjects that a question can be about."""
    for relation in RELATIONS:
        for form in relation.asked:
            pattern = re.escape(form).replace(re.escape("{s}"), SUBJECT)
            if found := re.fullmatch(pattern, question):
                yield relation, found[1]


def told_in(passage, relation, subject):
    """What a passage tells of the relation and the subject."""
    for form in relation.told:
        pattern = re.escape(form).replace(re.escape("{s}"), f"(?i:{re.escape(subject)})")
        pattern = pattern.replace(re.escape("{v}"), r"([\w ]+)")
        yield from re.findall(pattern, passage)


@SPLITS
def test_the_span_stands_in_the_cited_passage_and_where_there_is_none_no_passage_tells(split):
    answered = 0
    for seed in range(400):
        case = grounded(Random(seed), split)
        told = [
            (number, value.strip().casefold())
            for relation, subject in asked_of(case.question)
            for number, passage in enumerate(case.passages, 1)
            for value in told_in(passage, relation, subject)
        ]
        assert list(asked_of(case.question)), case.question
        if case.answered:
            assert (case.passage, case.span.casefold()) in told, (case, told)
            assert f"[{case.passage}]" in brief(case) and f"[{case.passage}]" in wordy(case)
        else:
            assert told == [], case
            assert brief(case) == wordy(case) == REFUSAL
        answered += case.answered
    assert 0.6 < answered / 400 < 0.8


def test_a_name_belongs_to_one_split_and_a_fifth_to_the_tests():
    drawn = {
        split: {draw(random, split) for _ in range(3000) for draw in (person, place)}
        for split in ("train", "test")
        for random in [Random(1)]
    }
    assert not drawn["train"] & drawn["test"]
    assert all(split_of(name) == split for split, names in drawn.items() for name in names)
    everything = {name for names in drawn.values() for name in names}
    assert names_in(" and ".join(sorted(everything))) == everything
    assert names_in("On Monday the baker of Berlin will sell 12 apples. Hello!") == set()


@SPLITS
def test_what_is_asked_last_in_a_dialogue_was_told_before(split):
    for seed in range(200):
        *earlier, (_, answer) = dialogue(Random(seed), split)
        value = answer.removeprefix("You are ").removesuffix(".")
        assert value.casefold() in " ".join(said for said, _ in earlier).casefold()


@SPLITS
def test_every_field_of_an_order_stands_in_its_sentence(split):
    for seed in range(200):
        made = order(Random(seed), split)
        assert all(str(value) in made.text for value in made.record.values())


@pytest.mark.parametrize("line", ['{"text": 7}', '{"title": "a"}', "[]", "no JSON"])
def test_public_text_of_another_form_is_refused_by_its_line(line, tmp_path):
    file = tmp_path / "books.jsonl"
    file.write_text(f'{{"text": "whole"}}\n{line}\n')
    with pytest.raises(DataError, match="line 2"):
        paragraphs(file, Random(0), 1)
