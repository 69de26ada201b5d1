"""`hearth prompt eval` and `hearth prompt compare` as a user types them, with answers written by hand."""

import json

import pytest

from decoder.errors import ServerFailed
from decoder.scripted import ScriptedDecoder
from ui.cli import wiring

PROMPT = """---
name: {name}
version: "1"
purpose: Adds one.
variables:
  question:
    type: string
    description: What to add.
---
## user
{text} {{{{ question }}}}
"""


@pytest.fixture
def answers(house, monkeypatch):
    """Two prompts in a folder, and a decoder: right for even numbers, and for all when asked with "Please"."""
    folder = house / "mine"
    folder.mkdir()
    for name, text in (("plain", "Add:"), ("kind", "Please add:")):
        (folder / f"{name}.md").write_text(PROMPT.format(name=name, text=text))

    def answer(messages):
        said = messages[-1].text
        number = int(said.split()[-3])
        if number == 99:
            return ServerFailed("asking", "it fell over")
        return f"The answer is {number + 1 + (number % 2) * ('Please' not in said)}."

    made = []

    def find(choice):
        made.append(ScriptedDecoder(answer))
        return made[-1]

    monkeypatch.setattr(wiring, "find_decoder", find)
    return made


@pytest.fixture
def data(house):
    def write(*rows):
        path = house / "data.jsonl"
        path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
        return path

    return write


ROWS = [{"question": f"{n} + 1", "answer": n + 1} for n in range(4)]
MINE = ("--folder", "mine")


def lines(result):
    return {line.split("\t")[0]: line.split("\t")[1:] for line in result.out.splitlines()}


def test_a_prompt_is_measured(hearth, answers, data):
    result = hearth("prompt", "eval", "plain", data(*ROWS), *MINE)
    assert result.code == 0, result.err
    assert lines(result)["accuracy"] == ["0.500", "0.150 to 0.850", "4"]
    assert lines(result)["completion_tokens"][0] == "4.000"
    found = hearth("prompt", "eval", "plain", data(*ROWS), *MINE, "--json").json
    assert found["questions"] == 4
    assert found["prompts"][0]["summary"]["accuracy"]["value"] == 0.5
    assert found["prompts"][0]["latency"].keys() == {"median", "p95"}


def test_figures_are_of_one_model_whatever_is_promoted_meanwhile(hearth, answers, data, monkeypatch):
    pinned = []

    async def apinned(self):
        pinned.append(not self.requests)
        return self

    monkeypatch.setattr(ScriptedDecoder, "apinned", apinned)
    assert hearth("prompt", "eval", "plain", data(*ROWS), *MINE).code == 0
    assert pinned == [True]


def test_two_prompts_are_compared(hearth, answers, data):
    result = hearth("prompt", "compare", "plain", "kind", data(*ROWS), *MINE)
    assert result.code == 0, result.err
    accuracy = lines(result)["accuracy"]
    assert accuracy[:3] == ["0.500", "1.000", "+0.500"]
    assert accuracy[4] == "4"
    found = hearth("prompt", "compare", "plain", "kind", data(*ROWS), *MINE, "--json").json
    assert found["differences"]["accuracy"]["value"] == 0.5
    assert [prompt["name"] for prompt in found["prompts"]] == ["plain", "kind"]


def test_results_are_kept_and_gone_on_with(hearth, answers, data, house):
    out = house / "results.jsonl"
    common = ["prompt", "eval", "plain", data(*ROWS), *MINE, "--out", out]
    assert hearth(*common, "--limit", "2").code == 0
    assert [json.loads(line)["id"] for line in out.read_text().splitlines()] == ["1", "2"]
    refused = hearth(*common)
    assert refused.code == 2
    assert "already holds results. Add --resume" in refused.err
    assert hearth(*common, "--resume", "--json").json["prompts"][0]["resumed"] == 2
    assert len(answers[-1].requests) == 2
    changed = hearth(*common, "--resume", "--temperature", "0.5")
    assert "4 results in the file are of other questions, prompts, options or models" in changed.err
    assert len(out.read_text().splitlines()) == 8


def test_what_fails_is_told_and_counts_as_wrong(hearth, answers, data):
    result = hearth("prompt", "eval", "kind", data(ROWS[0], {"id": "bad", "question": "99 + 1", "answer": 100}), *MINE)
    assert result.code == 0
    assert "question bad was not answered: asking: it fell over" in result.err
    assert "1 questions were not answered and count as wrong (kind)" in result.err
    assert lines(result)["accuracy"][0] == "0.500"


def test_bad_rows_are_told_with_line_and_field(hearth, answers, data):
    path = data(ROWS[0], {"question": "1 + 1"}, "{", ROWS[2])
    refused = hearth("prompt", "eval", "plain", path, *MINE)
    assert refused.code == 2
    assert "reading data, line 2, answer: it is missing" in refused.err
    skipped = hearth("prompt", "eval", "plain", path, *MINE, "--skip-bad", "--json")
    assert [(row["line"], row["field"]) for row in skipped.json["bad_rows"]] == [(2, "answer"), (3, "")]
    assert "2 rows left out, 2 questions read" in skipped.err


def test_self_consistency_from_the_command_line(hearth, answers, data):
    result = hearth("prompt", "eval", "kind", data(*ROWS), *MINE, "--samples", "12")
    assert result.code == 0, result.err
    assert lines(result)["samples"][0] == "4.000"
    result = hearth(
        "prompt", "eval", "kind", data(*ROWS), *MINE, "--samples", "12", "--every-sample", "--vote", "logprob"
    )
    assert lines(result)["samples"][0] == "12.000"
    assert lines(result)["confidence"][0] == "1.000"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--resume"], "--resume was given without --out"),
        (["--answer", "nothing"], "is no kind of answer"),
        (["--vote", "loudest"], "is no way to vote"),
        (["--samples", "3", "--temperature", "0"], "all samples are alike"),
    ],
)
def test_what_cannot_be_asked(hearth, answers, data, arguments, reason):
    result = hearth("prompt", "eval", "plain", data(*ROWS), *MINE, *arguments)
    assert result.code == 2
    assert reason in result.err


def test_without_a_decoder_or_a_prompt(hearth, answers, data, no_tiny, monkeypatch):
    assert "no" in hearth("prompt", "eval", "absent", data(*ROWS)).err
    monkeypatch.setattr(wiring, "find_decoder", lambda choice: None)
    result = hearth("prompt", "eval", "plain", data(*ROWS), *MINE)
    assert result.code == 2
    assert "there is no decoder" in result.err
