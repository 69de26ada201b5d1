"""Held-out rows of every kind that holds text become text to measure a loss on, as the model itself would read it."""

import json

import pytest

from alignment.errors import DataError
from alignment.held_out import asked_prompts, held_out_texts

ASKED = [{"role": "user", "content": "Who is there?"}]
ANSWERED = [*ASKED, {"role": "assistant", "content": "A house."}]


@pytest.fixture
def rows(tmp_path):
    def write(*found):
        file = tmp_path / "rows.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in found))
        return file

    return write


def test_of_a_conversation_the_last_answer_counts_after_the_templates_prompt(rows, tiny_llama):
    (text,) = held_out_texts(rows({"messages": ANSWERED}), tiny_llama)
    assert text.prompt == "<|user|>\nWho is there?<|end|>\n<|assistant|>\n"
    assert text.text == "A house.<|end|>\n", "the end of the turn is measured too"


def test_plain_prompts_pairs_and_texts_need_no_tokenizer(rows):
    (plain,) = held_out_texts(rows({"prompt": "2+2=", "completion": "4"}), "no-such-model")
    assert (plain.prompt, plain.text) == ("2+2=", "4")
    (pair,) = held_out_texts(rows({"prompt": "2+2=", "chosen": "4", "rejected": "5"}), "no-such-model")
    assert (pair.prompt, pair.text) == ("2+2=", "4")
    (text,) = held_out_texts(rows({"text": "Once."}), "no-such-model")
    assert (text.prompt, text.text) == ("", "Once.")


def test_the_first_so_many_and_rows_that_cannot_be_used_are_passed_over(rows):
    found = [{"prompt": f"{n}+1=", "completion": str(n + 1)} for n in range(4)]
    file = rows(found[0], {"prompt": "x", "completion": 5}, *found[1:])
    assert [text.text for text in held_out_texts(file, "", limit=2)] == ["1", "2"]


def test_votes_hold_no_text_to_measure(rows):
    with pytest.raises(DataError, match="holds kto rows"):
        held_out_texts(rows({"prompt": "a", "completion": "b", "label": True}), "")


def test_prompts_of_conversations_are_all_but_the_last_answer(rows):
    (ask,) = asked_prompts(rows({"messages": ANSWERED}))
    assert [(message.role, message.text) for message in ask.messages] == [("user", "Who is there?")]
    assert [each.text for each in asked_prompts(rows({"prompt": "a"}, {"prompt": "b"}), limit=1)] == ["a"]
