"""`hearth tiny` as a user types it."""

import json
from pathlib import Path

import pytest
import yaml

from alignment.data import load_data
from alignment.sections import DataSection
from ui.cli import wiring
from ui.tiny.held_out import drawn

RECIPES = Path(__file__).resolve().parents[2] / "alignment" / "recipes"


@pytest.fixture
def knows(tiny, monkeypatch):
    monkeypatch.setattr(wiring, "find_decoder", lambda choice: tiny.knowing(drawn(6, 0)))


def test_data_are_rows_that_the_recipes_read(hearth, house):
    made = hearth("tiny", "data", "--out", "made", "--scale", "0.001", "--json")
    assert made.code == 0, made.err
    assert made.json["left_out"] == ["--books", "--school"]
    assert "without --books" in made.err
    recipes = [yaml.safe_load(path.read_text()) for path in RECIPES.glob("*-tiny*.yaml")]
    read = {(recipe["stage"], Path(recipe["data"]["train"]).name) for recipe in recipes}
    assert {f"made/{file}" for _, file in read} == set(made.json["files"])
    for stage, file in read:
        rows = load_data(DataSection(train=str(house / "made" / file), deduplicate=False), stage)
        assert len(rows.train) == made.json["files"][f"made/{file}"] > 0


def test_public_text_comes_in_where_it_is_given(hearth, house):
    (house / "books.jsonl").write_text(
        json.dumps({"title": "t", "text": "\n\n".join(["It was a day. " * 20] * 3)}) + "\n"
    )
    (house / "school.jsonl").write_text(json.dumps({"question": "2+2?", "answer": "<<2+2=4>>4\n#### 4"}) + "\n")
    given = ("--books", "books.jsonl", "--school", "school.jsonl")
    made = hearth("tiny", "data", "--out", "made", "--scale", "0.001", *given, "--json")
    assert (made.code, made.json["left_out"], made.err) == (0, [], "")
    text = (house / "made" / "pretrain.jsonl").read_text()
    assert "It was a day." in text and "2+2?" in text
    missing = hearth("tiny", "data", "--out", "made", "--books", "none.xz")
    assert missing.code == 2 and "none.xz is no file" in missing.err


def test_held_out_cases_are_written(hearth, house):
    assert hearth("tiny", "held-out", "--out", "tests", "--cases", "3").code == 0
    assert len((house / "tests" / "errands.jsonl").read_text().splitlines()) == 3


def test_a_decoder_is_measured(hearth, knows, house):
    run = hearth("tiny", "measure", "--cases", "6", "--only", "grounded, orders", "--out", "found.json")
    assert run.code == 0, run.err
    lines = {line.split("\t")[0]: line.split("\t")[1:] for line in run.out.splitlines()}
    assert lines["orders: all fields"] == ["6 of 6", "1.000", "0.610 to 1.000"]
    assert "grounded: right" in lines and not any(name.startswith("arithmetic") for name in lines)
    assert "tokens written in" in run.err
    kept = json.loads((house / "found.json").read_text())
    assert [measure["name"] for measure in kept["measures"]] == ["grounded", "orders"]
    again = hearth("tiny", "measure", "--cases", "6", "--only", "arithmetic", "--json").json
    assert again["measures"][0]["differences"][0]["change"]["value"] == 0.0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--only", "cooking"), "no measure is called 'cooking'"),
        (("--only", "squad"), "--squad FILE"),
        (("--out", "nowhere/found.json"), "nowhere is no folder"),
        (("folder", "--base-url", "http://127.0.0.1:1/v1"), "together with --base-url"),
    ],
)
def test_what_cannot_be_measured_is_said_at_once(hearth, knows, monkeypatch, arguments, said):
    monkeypatch.delenv("HEARTH_TEST_DATA", raising=False)
    run = hearth("tiny", "measure", *arguments)
    assert run.code == 2 and said in run.err


def test_without_a_decoder_there_is_nothing_to_measure(hearth, monkeypatch, no_tiny):
    monkeypatch.setattr(wiring, "find_decoder", lambda choice: None)
    run = hearth("tiny", "measure")
    assert run.code == 2 and "Name a model's folder" in run.err
