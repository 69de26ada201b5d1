"""A row falls on its side by what it says, wherever it stands and whatever stands around it."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignment.data import load_data
from alignment.data_contamination import index_questions, read_questions, shared_words
from alignment.data_split import content_hash, fold, is_held_out, rows_hash
from alignment.errors import DataError
from alignment.sections import DataSection

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
PAIRS = st.lists(st.fixed_dictionaries({"prompt": WORDS, "chosen": WORDS, "rejected": WORDS}), max_size=20)
LONG = "Anna has nine apples and eats three of them before noon on a rainy Monday in May"


def held_out(rows, fraction=0.3, seed=1):
    return {content_hash(row) for row in rows if is_held_out(row, fraction, seed)}


@given(rows=PAIRS, more=PAIRS, chance=st.randoms())
@settings(max_examples=60, deadline=None)
def test_the_side_of_a_row_depends_on_no_other_row(rows, more, chance):
    mixed = [*rows, *more]
    chance.shuffle(mixed)
    known = {content_hash(row) for row in rows}
    assert held_out(mixed) & known == held_out(rows)


@given(row=st.fixed_dictionaries({"prompt": WORDS, "chosen": WORDS, "rejected": WORDS}), seed=st.integers())
@settings(max_examples=60, deadline=None)
def test_duplicates_and_rows_of_one_prompt_never_stand_on_both_sides(row, seed):
    spaced = {name: f"  {value}\n" for name, value in row.items()}
    assert content_hash(spaced) == content_hash(row)
    assert is_held_out(spaced, 0.5, seed) == is_held_out(row, 0.5, seed)
    assert is_held_out({**row, "chosen": "another"}, 0.5, seed) == is_held_out(row, 0.5, seed)


def test_case_and_white_space_are_folded_and_nothing_else():
    assert fold(" Straße\n\tA ") == "strasse a"
    one = {"prompt": "What?", "label": True}
    assert content_hash(one) == content_hash({"label": True, "prompt": "what? "})
    assert content_hash(one) != content_hash({"prompt": "What", "label": True})
    assert content_hash(one) != content_hash({"prompt": "What?", "label": False})


def test_a_conversation_and_its_continuation_fall_on_one_side():
    turns = [
        {"role": "system", "content": "x"},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Y"},
    ]
    more = [*turns[1:], {"role": "user", "content": "So?"}, {"role": "assistant", "content": "Z"}]
    for seed in range(20):
        assert is_held_out({"messages": turns}, 0.5, seed) == is_held_out({"messages": more}, 0.5, seed)


def test_a_larger_fraction_holds_out_what_a_smaller_one_did_and_about_as_much_as_asked():
    rows = [{"text": f"text {index}"} for index in range(4000)]
    small, large = held_out(rows, 0.1), held_out(rows, 0.25)
    assert small < large
    # Binomial: five standard deviations of 4,000 draws are 95 and 137.
    assert abs(len(small) - 400) < 95 and abs(len(large) - 1000) < 137
    assert held_out(rows, 0.1, seed=2) != small


def test_the_hash_of_rows_sees_their_order_and_every_word():
    rows = [{"text": "a"}, {"text": "b"}]
    assert rows_hash(rows) == rows_hash([dict(row) for row in rows])
    assert len({rows_hash(rows), rows_hash(rows[::-1]), rows_hash([{"text": "A"}, {"text": "b"}])}) == 3
    assert rows_hash([]) == ""


@pytest.mark.parametrize(
    ("text", "question", "shared"),
    [
        (f"Now: {LONG.upper()}!", LONG, "anna has nine apples and eats three of them before noon on a"),
        (LONG.replace("apples", "pears"), LONG, "and eats three of them before noon on a rainy monday in may"),
        (LONG.replace("before", "until"), LONG, ""),
        ("Who wrote: 'The cat, and the hat - came back home'?", "the cat and the hat came back home", True),
        ("The cat and the dog and the hat came back", "the cat and the hat came back home", ""),
        ("  What is 2+2 ", "What is 2 + 2?", "what is 2 2"),
        ("He asked: what is 2+2? Then he left.", "What is 2 + 2?", ""),
    ],
)
def test_a_row_is_contaminated_by_runs_of_words_or_by_a_short_question_that_is_all_of_a_text(text, question, shared):
    found = shared_words({"messages": [{"role": "user", "content": text}]}, index_questions([question]))
    assert bool(found) == bool(shared) if isinstance(shared, bool) else found == shared


@given(words=st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=30), at=st.integers(0, 200))
@settings(max_examples=150, deadline=None)
def test_a_question_that_stands_whole_in_a_text_is_always_found_from_eight_words_on(words, at):
    chance = random.Random(at)
    around = [chance.choice("abcdefgh") for _ in range(at)]
    text = " ".join([*around[: at // 2], *words, *around[at // 2 :]])
    found = shared_words({"prompt": text}, index_questions([" ".join(words)]))
    assert found if len(words) >= 8 else bool(found) == (around == [])


def test_questions_are_found_in_files_of_many_shapes(tmp_path):
    path = tmp_path / "eval.jsonl"
    path.write_text(
        '{"question": "First one?", "answer": "5"}\n{"messages": [{"role": "user", "content": "Second?"}]}\n'
        '{"conversations": [{"from": "human", "value": "Third?"}]}\n'
        '{"chosen": "\\n\\nHuman: Fourth?\\n\\nAssistant: x", "rejected": ""}\n'
    )
    assert read_questions(str(path)).whole == {("first", "one"), ("second",), ("third",), ("fourth",)}
    path.write_text('{"question": "One?"}\n{"title": "none"}\n')
    with pytest.raises(DataError, match=r"row 1 .line 2. of .*eval.jsonl: it has no question"):
        read_questions(str(path))
    path.write_text("")
    with pytest.raises(DataError, match="holds no row"):
        read_questions(str(path))


def test_the_split_of_a_file_is_the_same_whatever_its_order(tmp_path):
    lines = [f'{{"text": "line {index}"}}\n' for index in range(60)]
    sides = []
    for order in (lines, lines[::-1], [*lines, *lines[:9]]):
        (tmp_path / "rows.jsonl").write_text("".join(order))
        data = load_data(DataSection(train=str(tmp_path / "rows.jsonl"), eval_fraction=0.3, seed=5), "pretrain")
        sides.append({row["text"] for row in data.eval})
        assert not sides[-1] & {row["text"] for row in data.train}
    assert sides[0] == sides[1] == sides[2]
