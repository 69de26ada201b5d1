"""The library, and the folders that take its place."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoder.constraint import satisfies
from prompts import MalformedPrompt, Prompt, PromptNotFound, Turn, library, load
from prompts.folders import LIBRARY
from prompts.grounded import REFUSAL, grounded_answer
from prompts.turns import names
from prompts.variables import REQUIRED

WANTED = {
    "zero-shot", "one-shot", "few-shot", "zero-shot-cot", "few-shot-cot", "role", "output-json", "output-table",
    "output-bullets", "self-ask", "plan-and-solve", "react", "grounded-answer", "query-rewrite", "summarise-map",
    "summarise-reduce", "critique", "revise", "pairwise-judge",
}  # fmt: skip
PROMPTS = dict(library())


def examples(prompt):
    return {v.name: v.example for v in prompt.variables if v.example is not REQUIRED}


@pytest.fixture
def own(tmp_path, monkeypatch):
    """write(folder, name, text) -> file: a user's prompt, in `home` or another folder."""
    monkeypatch.setenv("HEARTH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def write(folder, name, text="Mine.", version="9", named=None):
        path = tmp_path / folder / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        front = f'---\nname: {named or name}\nversion: "{version}"\npurpose: Mine.\n---\n'
        path.write_text(f"{front}## user\n{text}", encoding="utf-8")
        return path

    return write


def test_it_holds_every_kind_of_prompt():
    assert set(PROMPTS) == WANTED
    assert {file.stem for file in LIBRARY.iterdir()} == WANTED


@pytest.mark.parametrize("name", sorted(WANTED))
def test_each_says_what_it_is_and_shows_how_it_is_used(name):
    prompt = PROMPTS[name]
    assert prompt.version
    assert len(prompt.purpose) > 40
    assert prompt.sampling.max_tokens
    assert all(v.description for v in prompt.variables)
    assert all(v.example is not REQUIRED for v in prompt.variables if v.required)
    rendered = prompt.render(**examples(prompt))
    assert rendered[0].role == "system"
    assert len(rendered[0].text) > 100
    assert "{{" not in rendered[0].text and "{%" not in rendered[0].text
    assert "\n\n\n" not in "".join(m.text for m in rendered)


@pytest.mark.parametrize("name", sorted(WANTED))
def test_each_uses_every_variable_that_it_declares(name):
    prompt = PROMPTS[name]
    assert frozenset().union(*map(names, prompt.messages)) == {v.name for v in prompt.variables}


@pytest.mark.parametrize("name", sorted(WANTED))
def test_what_changes_stands_after_everything_that_does_not(name):
    prompt = PROMPTS[name]
    assert prompt.volatile
    assert prompt.stable_turns >= 1
    after = prompt.messages[prompt.stable_turns :]
    assert not any(isinstance(part, Turn) and part.role == "system" for part in after)


VALUES = {
    "string": st.text(max_size=20),
    "untrusted": st.lists(st.text(max_size=20), max_size=2),
    "messages": st.just([]),
}


@settings(max_examples=25, deadline=None)
@given(st.data())
@pytest.mark.parametrize("name", sorted(WANTED))
def test_the_stable_part_is_byte_identical_over_all_values(name, data):
    prompt = PROMPTS[name]
    usual = examples(prompt)
    changed = {v.name: data.draw(VALUES[v.type]) for v in prompt.variables if v.name in prompt.volatile}
    one, other = prompt.render(**usual), prompt.render(**{**usual, **changed})
    stable = one[: len(prompt.bind(**{n: usual.get(n, []) for n in prompt.volatile}).messages[: prompt.stable_turns])]
    assert other[: len(stable)] == stable
    assert stable[0].role == "system"


def test_prompts_with_a_schema_show_output_that_satisfies_it():
    problem = '{"quote": "", "problem": "a", "fix": "b", "severity": "minor"}'
    shown = {
        "critique": f'{{"problems": [{problem}], "verdict": "acceptable"}}',
        "pairwise-judge": '{"reasons": "a", "verdict": "tie"}',
        "output-json": '{"records": [{"name": "Ann", "joined": null}]}',
        "query-rewrite": '{"queries": ["a"]}',
    }
    assert {name for name, prompt in PROMPTS.items() if prompt.schema} == set(shown)
    assert all(satisfies(PROMPTS[name].constraint, text) for name, text in shown.items())


def test_the_judge_speaks_of_both_answers_alike():
    values = {"question": "Why?", "first": "A", "second": "B"}
    there = PROMPTS["pairwise-judge"].render(**values)
    back = PROMPTS["pairwise-judge"].render(**{**values, "first": "B", "second": "A"})
    assert there[0] == back[0]
    assert len(there[1].text) == len(back[1].text)


def test_the_refusal_of_the_file_is_the_refusal_that_code_looks_for():
    assert {v.name: v.default for v in PROMPTS["grounded-answer"].variables}["refusal"] == REFUSAL


# Folders


def test_a_file_in_home_takes_the_librarys_place(own):
    own("home/prompts", "zero-shot")
    own("home/prompts", "mine")
    assert load("zero-shot").version == "9"
    assert load("mine").render()[0].text == "Mine."
    assert set(library()) == WANTED | {"mine"}
    assert load("one-shot").version == "1"


def test_the_settings_folder_comes_before_home_and_the_callers_before_all(own, monkeypatch):
    for version, folder in enumerate(("home/prompts", "settings", "second", "first")):
        own(folder, "zero-shot", version=str(version))
    monkeypatch.setenv("HEARTH_PROMPTS_FOLDER", "settings")
    assert load("zero-shot").version == "1"
    assert load("zero-shot", ["first", "second"]).version == "3"
    assert load("zero-shot", ["missing", "second"]).version == "2"


def test_a_users_grounded_answer_is_what_answers_are_asked_with(own):
    path = own("home/prompts", "grounded-answer")
    text = (LIBRARY / "grounded-answer.md").read_text(encoding="utf-8")
    path.write_text(text.replace("You answer questions", "You, an archivist, answer questions"), encoding="utf-8")
    assert grounded_answer("When?", ["a"])[0].text.startswith("You, an archivist, answer questions")


def test_a_changed_file_is_read_again(own):
    path = own("home/prompts", "mine", "Old.")
    assert load("mine").render()[0].text == "Old."
    own("home/prompts", "mine", "New.")
    os.utime(path, ns=(1, 1))
    assert load("mine").render()[0].text == "New."


def test_a_file_can_be_named_by_its_path(own):
    path = own("elsewhere", "any file", named="mine")
    assert load(path).name == load(str(path)).name == load("./elsewhere/any file.md").name == "mine"


def test_a_name_and_its_file_agree(own):
    own("home/prompts", "mine", named="yours")
    with pytest.raises(MalformedPrompt, match="named yours, and its file mine"):
        load("mine")


def test_a_damaged_prompt_harms_no_other(own):
    own("home/prompts", "mine").write_bytes(b"\xff")
    assert "mine" in library()
    with pytest.raises(MalformedPrompt, match="not UTF-8"):
        load("mine")
    assert load("zero-shot").version == "1"


@pytest.mark.parametrize("name", ["nope", "", "..", "../library/zero-shot", "Zero-Shot", "zero-shot\n", "a" * 99])
def test_what_is_not_there_is_not_found(own, name):
    with pytest.raises(PromptNotFound):
        load(name)
    assert name not in library()


def test_a_file_that_is_no_prompt_is_not_repeated_in_the_error(own, tmp_path):
    (tmp_path / "secret.txt").write_text("name: secret words")
    with pytest.raises(MalformedPrompt, match="no front matter") as caught:
        load("./secret.txt")
    assert "secret words" not in str(caught.value)


def test_a_misspelt_name_is_told_the_nearest():
    with pytest.raises(PromptNotFound, match="Did you mean zero-shot"):
        load("zero-shoot")


def test_the_library_is_a_mapping():
    assert library().get("nope") is None
    assert isinstance(library()["role"], Prompt)
    assert len(library()) == len(WANTED)


def test_folders_and_large_files_are_no_prompts(own, tmp_path):
    (tmp_path / "home" / "prompts" / "folder.md").mkdir(parents=True)
    with pytest.raises(PromptNotFound):
        load("folder")
    own("home/prompts", "large", "x" * 300_000)
    with pytest.raises(MalformedPrompt, match="larger than"):
        load("large")


def test_every_name_of_the_room_is_there():
    import prompts

    for name in prompts.__all__:
        found = getattr(prompts, name)
        assert isinstance(found, str) or found.__module__.startswith("prompts."), name
    with pytest.raises(AttributeError, match="nope"):
        _ = prompts.nope
