"""Public data sets as they are published; skipped where they are absent."""

import importlib.util
import json
import os
from collections import Counter
from pathlib import Path

import pytest

from alignment.data import load_data
from alignment.data_table import as_table
from alignment.errors import DataError
from alignment.sections import DataSection

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("HEARTH_TEST_DATA", ROOT.parent / "shared" / "data"))
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="HEARTH_TEST_DATA names no folder of public data")


def load(name, stage, **section):
    return load_data(DataSection(train=str(DATA / name), **section), stage)


@pytest.fixture(scope="module")
def gsm8k_rows():
    spec = importlib.util.spec_from_file_location("gsm8k_rows", ROOT / "benchmarks" / "gsm8k_rows.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_transcripts_of_harmlessness_become_conversations_and_the_broken_ones_are_named():
    name = "hh/harmless-pairs-a.jsonl"
    with pytest.raises(DataError, match=r"row 220 .line 221., chosen\[1\]: assistant speaks twice .*; 6 more"):
        load(name, "dpo")
    data = load(name, "dpo", skip_bad=True, eval_fraction=0.1)
    assert (data.report.rows, data.report.kept, len(data.report.dropped)) == (1156, 1149, 7)
    assert Counter(row.reason for row in data.report.dropped) == {
        "assistant speaks twice in a row": 5,
        "it is empty": 2,
    }
    for row in [*data.train, *data.eval]:
        assert row["prompt"][-1]["role"] == "user"
        assert [turn["role"] for turn in row["chosen"]] == ["assistant"] == [turn["role"] for turn in row["rejected"]]
        assert "\n\nHuman:" not in json.dumps(row)
    assert load(name, "kto", skip_bad=True).report.train_rows == 2 * 1149


@pytest.mark.parametrize(
    ("name", "stage", "form", "rows", "duplicates"),
    [
        ("alpaca_en_demo", "sft", "messages", 999, 14),
        ("dpo_en_demo", "reward", "preference", 300, 5),
        ("kto_en_demo", "kto", "kto", 300, 0),
        ("glaive_toolcall_en_demo", "sft", "messages", 300, 35),
    ],
)
def test_llama_factorys_files_are_read_whole(name, stage, form, rows, duplicates):
    data = load(f"sft/{name}.json", stage)
    assert data.format == form and data.report.rows == rows and data.report.dropped == ()
    assert data.report.duplicates == duplicates


def test_calls_of_tools_become_what_chat_templates_take():
    rows = load("sft/glaive_toolcall_en_demo.json", "sft").train
    calls = [turn for row in rows for turn in row["messages"] if turn.get("tool_calls")]
    assert calls and all(isinstance(turn["tool_calls"][0]["function"]["arguments"], dict) for turn in calls)
    assert all(tool["type"] == "function" and tool["function"]["name"] for row in rows for tool in row.get("tools", ()))


def test_word_problems_are_read_packed_and_checked_against_others():
    solved = load("gsm8k/train.jsonl.gz", "sft", columns={"prompt": "question", "completion": "answer"})
    assert solved.report.train_rows == 7473
    tests = str(DATA / "gsm8k" / "example_model_solutions.jsonl.gz")
    asked = load("gsm8k/train.jsonl.gz", "grpo", columns={"prompt": "question"}, contamination=tests)
    assert "####" in asked.train[0]["answer"] and asked.report.contaminated == 4
    assert asked.report.matches[0].index == 20


def test_right_and_wrong_solutions_are_rankings(gsm8k_rows, tmp_path):
    rows, without = gsm8k_rows.rankings(DATA / "gsm8k" / "example_model_solutions.jsonl.gz")
    assert (len(rows), without) == (731, 588)
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = load_data(DataSection(train=str(path), eval_fraction=0.2), "reward")
    assert data.format == "ranking" and data.report.train_rows + data.report.eval_rows == 731
    assert not any("<<" in response for row in data.train for response in row["responses"])
    made = load_data(DataSection(train=str(path)), "dpo").train
    assert len(made) == sum(row["ranks"].count(1) * row["ranks"].count(2) for row in rows)


def test_books_are_text():
    data = load("books/books.jsonl.xz", "pretrain", max_rows=5)
    assert data.report.train_rows == 5 and all(len(row["text"]) > 10_000 for row in data.train)


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("sft/glaive_toolcall_en_demo.json", "sft"),
        ("hh/harmless-pairs-a.jsonl", "dpo"),
        ("sft/kto_en_demo.json", "kto"),
    ],
)
def test_tables_of_the_datasets_library_give_rows_back_as_they_are(name, stage):
    rows = load(name, stage, skip_bad=True).train
    names = {field for row in rows for field in row}
    assert list(as_table(rows)) == [{field: row.get(field) for field in names} for row in rows]
