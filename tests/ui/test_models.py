"""`hearth models` without a server; with one: tests/alignment/test_promotion.py."""

import json

import pytest

from alignment.recipe import as_plain, make_recipe
from alignment.registry import register
from decoder import alias
from decoder.runs.folder import RunFolder


@pytest.fixture
def artefacts(house):
    """Two adapters and a reward model."""

    def make(name, content, kind="adapter"):
        path = house / "runs" / name
        (path / "model").mkdir(parents=True)
        (path / "recipe.yaml").write_text(json.dumps(as_plain(make_recipe({"stage": "sft", "name": name}))))
        (path / "model" / "adapter_model.safetensors").write_bytes(content)
        folder = RunFolder(path)
        folder.note(status="finished", kind=kind, name=name, stage="sft", metrics={"loss": 0.25}, base="/models/base")
        return register(folder).id

    return make("one", b"1"), make("two", b"2"), make("judge", b"3", "reward")


def test_nothing_registered_says_what_to_do(hearth):
    result = hearth("models", "list")
    assert result.code == 0
    assert "Nothing is registered yet" in result.err
    assert hearth("models", "list", "--json").json == {"models": []}


def test_the_list_says_what_answers(hearth, artefacts):
    one, two, judge = artefacts
    alias.switch("base", two, one)
    rows = [line.split("\t") for line in hearth("models", "list").out.splitlines()]
    assert [(row[0], row[1], row[4]) for row in rows] == [
        (one, "adapter", "last good on base"),
        (two, "adapter", "promoted on base"),
        (judge, "reward", ""),
    ]
    assert [each["state"] for each in hearth("models", "list", "--json").json["models"]][:2] == [
        "last good on base",
        "promoted on base",
    ]


def test_show_tells_the_lineage(hearth, artefacts):
    shown = hearth("models", "show", artefacts[0])
    assert "metrics.loss                  0.25\n" in shown.out
    assert "base                          /models/base\n" in shown.out
    assert hearth("models", "show", artefacts[0], "--json").json["recipe"]["name"] == "one"


def test_history_and_verify(hearth, artefacts):
    assert [line.split("\t")[1:] for line in hearth("models", "history").out.splitlines()] == [
        ["register", each] for each in artefacts
    ]
    assert hearth("models", "verify").out == "3 as registered\n"


def test_remove(hearth, artefacts):
    alias.switch("base", artefacts[0], "")
    refused = hearth("models", "remove", artefacts[0])
    assert refused.code == 2
    assert "Promote another first" in refused.err
    assert hearth("models", "remove", artefacts[1]).out == f"{artefacts[1]} is removed\n"
    assert hearth("models", "show", artefacts[1]).code == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("show", "../../etc"), "no id of an artefact"),
        (("show", "nobody-12345678"), "there is no artefact"),
        (("register", "nowhere"), "not finished"),
        (("register", "/etc/passwd"), "not finished"),
        (("register", "a" * 300), "run.json cannot be read"),
        (("promote", "one-12345678"), "nothing to measure the model on"),
        (("promote", "one-12345678", "--force"), "no server runs"),
        (("rollback",), "no server runs"),
        (("load", "one-12345678"), "no server runs"),
        (("evaluate", "one-12345678"), "no server runs"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(hearth, words, message):
    result = hearth("models", *words)
    assert result.code == 2
    assert message in result.err
    assert result.err.count("\n") == 1


def test_bytes_that_steer_a_terminal_are_not_printed(hearth, artefacts, house):
    description = house / "home" / "models" / artefacts[0] / "artefact.json"
    description.chmod(0o644)
    facts = json.loads(description.read_text()) | {"stage": "\x1b[2Jsft", "metrics": {"\x1b]0;x\x07loss": 1}}
    description.write_text(json.dumps(facts))
    for words in (("list",), ("show", artefacts[0])):
        assert "\x1b" not in hearth("models", *words).out


def make_run(house, name):
    """A later run of this name; returns its artefact's id."""
    path = house / "runs" / f"{name}-again"
    (path / "model").mkdir(parents=True)
    (path / "recipe.yaml").write_text(json.dumps(as_plain(make_recipe({"stage": "sft", "name": name}))))
    (path / "model" / "adapter_model.safetensors").write_bytes(b"newer")
    RunFolder(path).note(status="finished", kind="adapter", name=name, stage="sft", metrics={}, base="/models/base")
    return register(RunFolder(path)).id


def test_an_artefact_is_found_by_its_name_and_by_how_its_id_begins(hearth, artefacts, house):
    one, two, _ = artefacts
    assert hearth("models", "show", "one", "--json").json["id"] == one
    assert hearth("models", "show", two[:8], "--json").json["id"] == two
    newer = make_run(house, "one")
    assert hearth("models", "show", "one", "--json").json["id"] == newer
    assert hearth("models", "show", "../one").code == 2
    dated = make_run(house, "sft-20261129")
    assert hearth("models", "show", "sft-20261129", "--json").json["id"] == dated, "a name that is shaped like an id"
    unknown = hearth("models", "show", "onion")
    assert unknown.code == 2 and "there is no artefact onion" in unknown.err
