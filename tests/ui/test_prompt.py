"""`hearth prompt`: what is listed, shown, rendered and run."""

import io
import json

import pytest

from decoder.scripted import ScriptedDecoder
from decoder.types import Sampling
from prompts import library, load
from ui.cli import wiring

FRONT = '---\nname: {name}\nversion: "9"\npurpose: Mine.\nvariables:\n{variables}\n---\n## user\n{text}\n'
VARIABLES = """\
  word: {type: string, default: hm}
  count: {type: integer, default: 1}
  share: {type: number, default: 0.5}
  loud: {type: boolean, default: false}
  words: {type: array, default: []}
  talk: {type: messages, default: []}
"""


TEXT = "{{ word }} {{ count + 1 }} {{ share }} {{ loud }} {{ words | join('+') }}"


@pytest.fixture
def mine(house):
    """A prompt of every type in the home folder; `mine(name, text)` writes another."""

    def write(name="mine", text=TEXT, folder=None):
        path = (folder or house / "home" / "prompts") / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        insert = "\n## insert talk" if "word" in text else ""
        path.write_text(FRONT.format(name=name, variables=VARIABLES, text=text + insert), encoding="utf-8")
        return path

    write()
    return write


@pytest.fixture
def decoder(monkeypatch):
    def use(*script, **more):
        made = ScriptedDecoder(script, **more)
        monkeypatch.setattr(wiring, "find_decoder", lambda choice: made)
        return made

    return use


def text_of(hearth, *arguments):
    result = hearth("prompt", "render", "mine", *arguments, "--json")
    assert result.code == 0, result.err
    return result.json["messages"][0]["content"]


def test_all_prompts_are_listed_and_ones_own_take_the_librarys_place(hearth, mine):
    mine("zero-shot", "Mine.")
    listed = {row["name"]: row for row in hearth("prompt", "list", "--json").json["prompts"]}
    assert set(listed) == {*library()}
    assert listed["zero-shot"]["version"] == "9"
    assert listed["zero-shot"]["folder"].endswith("home/prompts")
    assert listed["one-shot"]["folder"] == "library"
    lines = hearth("prompt", "list").out.splitlines()
    assert any(line.startswith("mine\t9\t") and line.endswith("\tMine.") for line in lines)


def test_a_damaged_one_is_listed_with_what_is_wrong(hearth, mine):
    mine("bad", "{{ nope }}")
    row = next(row for row in hearth("prompt", "list", "--json").json["prompts"] if row["name"] == "bad")
    assert row["error"] == "line 15: nope is used and not declared"
    assert "nope is used" in hearth("prompt", "list").out
    result = hearth("prompt", "show", "bad")
    assert result.code == 2
    assert "bad.md, line 15" in result.err


def test_a_prompt_is_shown_with_its_variables_and_its_text(hearth, mine):
    shown = hearth("prompt", "show", "grounded-answer").out
    assert "numbered passages" in shown
    assert "question (string, required)" in shown
    assert "## insert history" in shown
    facts = hearth("prompt", "show", "query-rewrite", "--json").json
    assert facts["schema"]["required"] == ["queries"]
    assert facts["sampling"]["max_tokens"] == 200
    assert [v.get("default", "none") for v in facts["variables"]] == [[], "none", 3, True]
    json.dumps(facts)


def test_values_are_read_as_their_variables_types(hearth, mine):
    assert text_of(hearth) == "hm 2 0.5 False "
    given = ["word={{ x }}=", "count=41", "share=.25", "loud=Yes", 'words=["a", "b"]']
    assert text_of(hearth, *(part for value in given for part in ("--set", value))) == "{{ x }}= 42 0.25 True a+b"


def test_they_come_from_files_and_from_standard_input_too(hearth, mine, house, monkeypatch):
    (house / "word.txt").write_text("from a file\n")
    (house / "all.json").write_text('{"word": "beaten", "count": 2}')
    assert text_of(hearth, "--values", "all.json", "--set-file", "word=word.txt") == "from a file\n 3 0.5 False "
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("größer".encode())))
    assert text_of(hearth, "--set-file", "word=-").startswith("größer 2")


def test_turns_are_given_as_json(hearth, mine):
    result = hearth("prompt", "render", "mine", "--set", 'talk=[{"role": "assistant", "content": "Oh"}]', "--json")
    assert result.json["messages"][1] == {"role": "assistant", "content": "Oh"}


@pytest.mark.parametrize("name", library())
def test_every_prompt_of_the_library_renders_with_its_examples(hearth, name):
    result = hearth("prompt", "render", name, "--example")
    assert result.code == 0, result.err
    assert "[system]" in result.out
    assert "[user]" in result.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mine", "--set", "word"], "Write NAME=VALUE"),
        (["mine", "--set", "count=many"], "count is of type integer, and its value is no integer"),
        (["mine", "--set", "loud=maybe"], "its value is no boolean"),
        (["mine", "--set", "words=a"], "its value is no JSON"),
        (["mine", "--set", 'words={"a": 1}'], "words is array, and the value is dict"),
        (["mine", "--set", "nope=1"], "has no variable nope"),
        (["mine", "--set-file", "word=missing.txt"], "missing.txt cannot be read"),
        (["mine", "--values", "mine.json"], "cannot be read"),
        (["zero-shot"], "has no value"),
        (["zero-shoot"], "Did you mean zero-shot"),
        (["./nothing.md"], "cannot be read"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_code_2(hearth, mine, arguments, words):
    result = hearth("prompt", "render", *arguments)
    assert result.code == 2
    assert words in result.err
    assert result.err.count("\n") == 1


def test_another_folder_comes_first(hearth, mine, house):
    mine("zero-shot", "Here.", house / "other")
    assert hearth("prompt", "render", "zero-shot", "--folder", "other").out == "[user]\nHere.\n"
    assert hearth("prompt", "render", "other/zero-shot.md").out == "[user]\nHere.\n"


# Run


def test_an_answer_is_streamed_with_the_prompts_sampling(hearth, decoder):
    made = decoder("mixed \x1b[31mred")
    result = hearth("prompt", "run", "zero-shot", "--example", "--seed", "7", "--max-tokens", "9")
    assert (result.code, result.out) == (0, "mixed red\n")
    assert made.requests[0].sampling == Sampling(temperature=0, max_tokens=9, seed=7)
    assert made.requests[0].messages[-1].text == load("zero-shot").variables[1].example


def test_a_text_that_was_cut_off_says_so(hearth, decoder):
    decoder("one two three")
    result = hearth("prompt", "run", "zero-shot", "--example", "--max-tokens", "2")
    assert result.out == "one two\n"
    assert "--max-tokens raises it" in result.err


def test_output_with_a_schema_is_json_that_satisfies_it(hearth, decoder):
    made = decoder('{"reasons": "r", "verdict": "first"}')
    result = hearth("prompt", "run", "pairwise-judge", "--example")
    assert result.json == {"reasons": "r", "verdict": "first"}
    assert made.requests[0].constraint.kind == "json"


def test_json_says_all(hearth, decoder):
    decoder("no", '{"queries": ["a"]}', constraints=())
    found = hearth("prompt", "run", "query-rewrite", "--example", "--json").json
    assert found["value"] == {"queries": ["a"]}
    assert found["repaired"] is True
    assert found["usage"]["completion_tokens"] == 3
    assert (found["prompt"], found["version"], found["truncated"]) == ("query-rewrite", "1", False)


def test_output_that_cannot_be_read_is_an_error_and_code_1(hearth, decoder):
    decoder("no", "no", constraints=())
    result = hearth("prompt", "run", "query-rewrite", "--example")
    assert result.code == 1
    assert "nor after one repair" in result.err


def test_without_a_decoder_there_is_none(hearth, no_tiny, monkeypatch):
    monkeypatch.setattr(wiring, "find_decoder", lambda choice: None)
    result = hearth("prompt", "run", "zero-shot", "--example")
    assert result.code == 2
    assert "there is no decoder" in result.err
