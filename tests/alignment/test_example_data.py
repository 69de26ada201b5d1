"""The data sets that ship are what their generator makes, small, clean, and fit for their stages."""

import subprocess
import sys
from pathlib import Path

import pytest

from alignment.data import load_data
from alignment.data_sources import EXAMPLES
from alignment.sections import DataSection

GENERATOR = Path(__file__).parents[2] / "examples" / "build_alignment_data.py"
STAGES = (
    ("conversations", "sft", "messages", 300),
    ("conversations-eval", "sft", "messages", 100),
    ("preferences", "dpo", "preference", 300),
    ("rankings", "reward", "ranking", 150),
    ("votes", "kto", "kto", 300),
    ("prompts", "grpo", "prompt", 300),
    ("text", "pretrain", "text", 2000),
)


def test_they_are_what_the_generator_makes(tmp_path):
    subprocess.run([sys.executable, str(GENERATOR), str(tmp_path)], check=True, timeout=60)
    made = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert made == {file.name: file.read_bytes() for file in EXAMPLES.iterdir()}
    assert sum(map(len, made.values())) < 2_000_000


@pytest.mark.parametrize(("name", "stage", "form", "least"), STAGES)
def test_each_is_read_by_its_stage_whole(name, stage, form, least):
    data = load_data(DataSection(train=f"example:{name}", eval_fraction=0.1), stage)
    report = data.report
    assert (data.format, report.dropped, report.duplicates) == (form, (), 0)
    assert report.rows == report.kept >= least
    assert 0.03 < report.eval_rows / report.rows < 0.2


def test_no_question_of_the_evaluation_is_trained_on():
    for name, stage in (("conversations", "sft"), ("preferences", "dpo"), ("rankings", "reward"), ("votes", "kto")):
        section = DataSection(train=f"example:{name}", contamination="example:conversations-eval")
        assert load_data(section, stage).report.contaminated == 0


def test_the_assistant_that_they_teach_is_short_and_the_better_answer_is_the_shorter_or_the_right_one():
    rows = load_data(DataSection(train="example:conversations"), "sft").train
    said = [turn["content"] for row in rows for turn in row["messages"] if turn["role"] == "assistant"]
    assert max(len(text.split()) for text in said) <= 30
    pairs = load_data(DataSection(train="example:preferences"), "dpo").train
    longer = [len(pair["rejected"][0]["content"]) > 2 * len(pair["chosen"][0]["content"]) for pair in pairs]
    assert 0.4 < sum(longer) / len(longer) < 0.8  # else length alone would tell the better one
    votes = load_data(DataSection(train="example:votes"), "kto").train
    assert 0.4 < sum(vote["label"] for vote in votes) / len(votes) < 0.6


def test_each_prompt_says_what_a_right_answer_holds_and_each_ranking_has_four_answers():
    assert all(row["answer"] for row in load_data(DataSection(train="example:prompts"), "ppo").train)
    ranks = [row["ranks"] for row in load_data(DataSection(train="example:rankings"), "reward").train]
    assert {len(rank) for rank in ranks} == {4}
    assert {tuple(sorted(rank)) for rank in ranks} == {(1, 2, 3, 3), (1, 2, 3, 4)}
