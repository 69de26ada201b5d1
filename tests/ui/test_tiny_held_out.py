"""What hearth-tiny is measured on was never trained on, and fits the prompts that it is measured with."""

from random import Random

import pytest

from alignment.tiny import rows
from alignment.tiny.words import names_in, split_of
from prompts.extract import extractor
from prompts.folders import load
from prompts.items import read_items
from ui.tiny.data import PRETRAIN, SFT, pretraining, supervised
from ui.tiny.held_out import apart, drawn, grounded_rows, write


def texts(held):
    """Every text of the cases that the decoder is shown."""
    yield from (each.question for each in held.problems)
    yield from (each.text for each in held.orders)
    yield from (said for turns in held.dialogues for said, _ in turns)
    for case in held.grounded:
        yield from (*case.passages, case.question)
    for case in held.errands:
        yield from (*case.passages, case.task)


def test_held_out_cases_hold_no_wording_and_no_name_of_training(tiny):
    for seed in range(40):
        for text in texts(drawn(10, seed)):
            assert tiny.trained_wordings(text) == [], text
            assert all(split_of(name) == "test" for name in names_in(text)), text


def test_training_holds_no_name_of_the_tests_and_only_its_own_wordings(tiny):
    random = Random(5)
    made = [*pretraining(random, PRETRAIN.scaled(0.004), None, None), *supervised(random, SFT.scaled(0.01))]
    for row in made:
        text = row["text"] if "text" in row else "\n".join(turn["content"] for turn in row["messages"])
        assert all(split_of(name) == "train" for name in names_in(text)), text
    told = [row["text"].split("\n")[3] for row in made if "text" in row and row["text"].startswith("<|system|>\nThink")]
    assert len(told) > 50
    assert all(tiny.trained_wordings(text.removesuffix("<|end|>")) for text in told)


def test_the_same_seed_draws_the_same_and_another_draws_others():
    assert drawn(5, 1) == drawn(5, 1)
    assert drawn(5, 1).problems != drawn(5, 2).problems
    assert [len(each.steps) for each in drawn(6, 3).problems] == [1, 2, 3, 1, 2, 3]


def test_errands_that_share_a_knowledge_base_share_no_name():
    cases = apart(40, 0)
    names = [names_in(" ".join((case.task, *case.passages))) for case in cases]
    assert sum(map(len, names)) == len(set().union(*names))
    assert all("knowledge_search" in case.needs and case.passages for case in cases)


@pytest.mark.parametrize(
    ("file", "prompt", "answer"),
    [
        ("arithmetic", "zero-shot-cot", "number"),
        ("arithmetic-direct", "zero-shot", "number"),
        ("grounded", "grounded-answer", "text"),
    ],
)
def test_the_files_are_rows_for_the_prompts(tmp_path, file, prompt, answer):
    assert write(tmp_path, 12, 0)[file] == 12
    read = read_items(tmp_path / f"{file}.jsonl", [load(prompt)], extractor(answer))
    assert (len(read.items), read.bad) == (12, ())


def test_a_row_from_passages_is_asked_as_training_asks():
    held = drawn(3, 0)
    for case, row in zip(held.grounded, grounded_rows(held.grounded), strict=True):
        asked = load("grounded-answer").render(question=row["question"], passages=row["passages"])
        trained = rows.house_grounded(case, row["answer"], Lines(len(case.passages)))
        assert rows.said(asked, row["answer"]) == trained


class Lines:
    """Numbers the lines from 1, in place of a random one each."""

    def __init__(self, count):
        self.left = list(range(count, 0, -1))

    def randint(self, low, high):
        return self.left.pop()
