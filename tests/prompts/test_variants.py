"""Variants of a comparison: techniques, the questions that few-shot takes, and CSV read as rows."""

import json

import pytest

import prompts
from decoder.errors import UsageError
from prompts.extract import extractor
from prompts.items import parse_item, read_items
from prompts.variants import ARITHMETIC, rows_of_csv, split, with_technique

COT = "zero-shot-cot"


def test_the_twelve_questions_can_be_read_and_fit_the_library():
    read = read_items(ARITHMETIC, [prompts.load(COT), prompts.load("few-shot-cot")], extractor("number"))
    assert len(read.items) == 12
    assert [item.id for item in read.items][:2] == ["jars", "stamps"]


def test_few_shot_shows_three_questions_and_nobody_is_asked_them():
    read = read_items(ARITHMETIC, [prompts.load(COT)], extractor("number"))
    shown, asked = split(read, ["plain", "few-shot"])
    assert [item.id for item in shown] == ["jars", "stamps", "tank"]
    assert len(asked) == 9
    assert split(read, ["plain"]) == ((), read.items)
    prompt = with_technique(prompts.load(COT), "few-shot", shown)
    said = prompt.render(question="And this?")
    assert [m.role for m in said] == ["system", *["user", "assistant"] * 3, "user"]
    assert said[2].text == "Answer: 37"


def test_too_few_questions_for_few_shot_are_an_error(tmp_path):
    file = tmp_path / "three.jsonl"
    file.write_text("".join(f'{{"question": "{n}?", "answer": {n}}}\n' for n in range(3)))
    with pytest.raises(UsageError, match="few-shot shows 3"):
        split(read_items(file, [prompts.load(COT)], extractor("number")), ["few-shot"])


def test_chain_of_thought_is_added_once():
    prompt = prompts.load("role")
    reasoning = with_technique(prompt, "chain of thought")
    assert reasoning.reasons and not prompt.reasons
    assert with_technique(reasoning, "chain of thought") is reasoning
    assert with_technique(prompt, "plain") is prompt
    with pytest.raises(UsageError, match="is none"):
        with_technique(prompt, "magic")


def test_csv_becomes_rows():
    rows = rows_of_csv('\ufeffquestion,answer,note\r\n"What, then?",7,\r\n\r\nMore?,8,x\r\n').splitlines()
    assert [json.loads(row) for row in rows] == [
        {"question": "What, then?", "answer": "7"},
        {"question": "More?", "answer": "8", "note": "x"},
    ]
    item = parse_item(rows[0].encode(), 1, [prompts.load(COT)], extractor("number"))
    assert item.answers == ("7",)


@pytest.mark.parametrize("text", ["", "question,reply\na,b\n", "answer,answer\n1,2\n", "question,answer\na,b,c\n"])
def test_csv_that_cannot_be_meant_is_an_error(text):
    with pytest.raises(UsageError):
        rows_of_csv(text)
