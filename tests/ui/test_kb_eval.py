"""`hearth kb eval` with the real knowledge base: on the example questions of the manual, and on rows that are wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import pytest

from rag.embed import SentenceEmbedder
from rag.knowledge import KnowledgeBase
from ui.cli import wiring

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
QUESTIONS = ROOT / "examples" / "manual-questions.jsonl"


@cache
def embedder():
    return SentenceEmbedder()


@pytest.fixture
def documents(house, monkeypatch):
    """A folder with two documents. The embedding model is loaded once for all tests here."""

    def open_knowledge_base(name, decoder=None, beside=None):
        return KnowledgeBase(name, decoder=decoder, embedder=embedder())

    monkeypatch.setattr(wiring, "open_knowledge_base", open_knowledge_base)
    folder = house / "lease"
    folder.mkdir()
    (folder / "lease.md").write_text("# Lease\n\nThe flat has three rooms.\n\nThe monthly rent is 900 euros.\n")
    (folder / "garden.txt").write_text("The garden is watered on Tuesdays by Mr Finch.\n")
    return folder


@pytest.fixture
def questions(house):
    def write(*rows, name="questions.jsonl"):
        path = house / name
        path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
        return path

    return write


RENT = {"id": "rent", "question": "How much is the monthly rent?", "answers": ["900 euros"], "sources": ["lease.md"]}
GARDEN = {"id": "garden", "question": "Who waters the garden?", "answers": ["Mr Finch"], "sources": ["garden.txt"]}
CUP = {"id": "cup", "question": "Who won the football world cup in 1998?", "answerable": False}


def test_the_example_questions_of_the_manual(hearth, documents):
    """The floors lie below what was measured, so that a change for the worse is seen and noise is not."""
    rows = [json.loads(line) for line in QUESTIONS.read_text().splitlines()]
    unanswerable = sum(row.get("answerable") is False for row in rows)
    assert len(rows) >= 25
    assert unanswerable >= 5
    result = hearth("kb", "eval", QUESTIONS, "--docs", ROOT / "examples" / "manual", "--json")
    assert result.code == 0, result.err
    assert result.json["questions"] == len(rows)
    assert (result.json["missing_documents"], result.json["bad_rows"]) == ([], [])
    summary = result.json["settings"][0]["summary"]
    means = {name: figure["value"] for name, figure in summary.items()}
    assert means["recall@5"] >= 0.95
    assert means["mrr"] >= 0.9
    assert means["contains_answer"] >= 0.75
    assert means["citation_precision"] >= 0.9
    assert means["refusal_recall"] >= 0.8
    assert means["wrongly_refused"] <= 0.25
    assert summary["refusal_recall"]["count"] == unanswerable
    assert all(figure["low"] <= figure["value"] <= figure["high"] for figure in summary.values())


def test_figures_for_people_have_a_line_each(hearth, documents, questions):
    result = hearth("kb", "eval", questions(RENT, GARDEN, CUP), "--docs", documents, "--k", "1,3")
    assert result.code == 0, result.err
    lines = dict(line.split("\t", 1) for line in result.out.splitlines())
    assert lines["recall@1"].split("\t")[0] == "1.000"
    assert lines["recall@3"].split("\t")[2] == "2"
    assert lines["refusal_recall"].split("\t") == ["1.000", "0.207 to 1.000", "1"]
    assert "recall@5" not in lines


def test_two_settings_side_by_side(hearth, documents, questions, house):
    (house / "narrow.toml").write_text("limit = 1\n")
    path = questions(RENT, GARDEN, CUP)
    arguments = ["kb", "eval", path, "--docs", documents, "--compare", "default", house / "narrow.toml"]
    result = hearth(*arguments)
    assert result.code == 0, result.err
    lines = {line.split("\t")[0]: line.split("\t")[1:] for line in result.out.splitlines()}
    assert lines["contains_answer"] == ["1.000", "1.000", "+0.000", "+0.000 to +0.000", "2"]
    assert lines["refusal_precision"][2:] == ["-", "-", "-"]
    found = hearth(*arguments, "--json").json
    assert [setting["name"] for setting in found["settings"]] == ["default", "narrow"]
    assert found["differences"]["token_f1"]["count"] == 2


def test_results_are_kept_and_gone_on_with(hearth, documents, questions, house):
    out = house / "results.jsonl"
    path = questions(RENT, GARDEN, CUP)
    common = ["kb", "eval", path, "--docs", documents, "--out", out]
    assert hearth(*common, "--limit", "2").code == 0
    assert [json.loads(line)["id"] for line in out.read_text().splitlines()] == ["rent", "garden"]
    again = hearth(*common)
    assert again.code == 2
    assert "already holds results. Add --resume" in again.err
    resumed = hearth(*common, "--resume", "--json")
    assert resumed.json["settings"][0]["resumed"] == 2
    assert [json.loads(line)["id"] for line in out.read_text().splitlines()] == ["rent", "garden", "cup"]
    (documents / "garden.txt").write_text("The garden is watered on Sundays by Mr Finch.\n")
    changed = hearth(*common, "--resume")
    assert "3 results in the file are of other questions, settings or an older index: not counted" in changed.err
    assert len(out.read_text().splitlines()) == 6
    assert hearth("kb", "eval", path, "--docs", documents, "--resume").code == 2


def test_bad_rows_are_told_with_line_and_field(hearth, documents, questions):
    path = questions(RENT, {"question": "?", "answer": ["x"]}, "{", GARDEN)
    common = ["kb", "eval", path, "--docs", documents]
    refused = hearth(*common)
    assert refused.code == 2
    assert "reading questions, line 2, answer: no such field. Known: answers" in refused.err
    skipped = hearth(*common, "--skip-bad", "--json")
    assert skipped.code == 0
    assert "2 rows left out, 2 questions read" in skipped.err
    assert [(row["line"], row["field"]) for row in skipped.json["bad_rows"]] == [(2, "answer"), (3, "")]


def test_documents_that_questions_name_and_nobody_has_are_told(hearth, documents, questions):
    lost = {"question": "How much is the rent?", "sources": ["lost.pdf"]}
    result = hearth("kb", "eval", questions(lost), "--docs", documents)
    assert result.code == 0
    assert "no document is called lost.pdf: nothing can find it" in result.err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--k", "1,x"], "is no list of numbers"),
        (["--k", "0"], "Give numbers from 1 to 1000"),
        (["--setting", "limits=3"], "Known: limit"),
        (["--compare", "limit=3"], "requires 2 arguments"),
        (["--kb", "nothing"], "there is none called 'nothing'"),
    ],
)
def test_what_cannot_be_asked_is_said_before_anything_is_read(hearth, documents, questions, arguments, reason):
    result = hearth("kb", "eval", questions(RENT), *arguments)
    assert result.code == 2
    assert reason in result.err


def test_an_interrupted_run_goes_on_where_it_stopped(house, questions):
    """A process of its own, killed outright after its first results."""
    out = house / "results.jsonl"
    rows = QUESTIONS.read_text().splitlines()
    command = [sys.executable, "-m", "ui.cli", "kb", "eval", str(QUESTIONS), "--docs", str(ROOT / "examples/manual")]
    command += ["--out", str(out), "--resume", "--json"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HEARTH_HOME": str(house / "home")}
    first = subprocess.Popen(command, cwd=house, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 120
        while not (out.exists() and out.read_bytes().count(b"\n") >= 3):
            assert time.monotonic() < until
            assert first.poll() is None or out.read_bytes().count(b"\n") >= 3
            time.sleep(0.02)
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait(timeout=30)
    kept = out.read_bytes().count(b"\n")
    run = subprocess.run(command, cwd=house, env=environment, capture_output=True, text=True, timeout=180)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["settings"][0]["resumed"] == kept
    assert [json.loads(line)["question"] for line in out.read_text().splitlines()] == [
        json.loads(row)["question"] for row in rows
    ]
