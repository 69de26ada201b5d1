"""Source code: cut by its syntax, whole definitions where they fit, nothing lost, broken code and all."""

import ast
import itertools
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rag.chunk_syntax
from rag.chunk import chunk, estimate_tokens
from rag.chunk_code import language_of
from rag.chunk_syntax import GRAMMARS, syntax
from rag.types import Document

ROOM = Path(rag.chunk_syntax.__file__).parent
SAMPLES = {
    "python": "# What for.\n@cached\nclass Oven:\n    '''Bakes.'''\n\n    def heat(self, x):\n        return x\n",
    "javascript": "// Heats.\nexport const heat = (x) => {\n  return x;\n};\nclass Oven {\n  bake() { return 1; }\n}\n",
    "typescript": "@Injectable()\nexport class Oven<T> {\n  heat(x: T): T { return x; }\n}\ninterface A {}\n",
    "tsx": "export function Bread() {\n  return <b>bread</b>;\n}\n",
    "java": "class Oven {\n  /** Heats. */\n  @Override\n  int heat(int x) { return x; }\n}\n",
    "c": "#include <a.h>\n/* Heats. */\nstatic int *heat(int x)\n{\n  return x;\n}\n",
    "cpp": "namespace kitchen {\ntemplate <class T>\nclass Oven {\n  T heat(T x) { return x; }\n};\n}\n",
    "csharp": "namespace Kitchen {\n  class Oven {\n    int Heat(int x) { return x; }\n  }\n}\n",
    "go": "package a\n\n// Heat heats.\nfunc (o *Oven) Heat(x int) int {\n\treturn x\n}\n",
    "rust": "#[derive(Debug)]\nstruct Oven;\nimpl Oven {\n    /// Heats.\n    fn heat(&self) -> i32 { 1 }\n}\n",
    "ruby": "module Kitchen\n  class Oven\n    def heat(x)\n      x\n    end\n  end\nend\n",
    "php": "<?php\nclass Oven {\n  function heat($x) { return $x; }\n}\n",
    "bash": "# Heats.\nheat() {\n  echo $1\n}\n",
}
PATHS = {
    "python": ("Oven", "heat"),
    "javascript": ("Oven", "bake"),
    "typescript": ("Oven", "heat"),
    "tsx": ("Bread",),
    "java": ("Oven", "heat"),
    "c": ("heat",),
    "cpp": ("kitchen", "Oven", "heat"),
    "csharp": ("Kitchen", "Oven", "Heat"),
    "go": ("Oven.Heat",),
    "rust": ("Oven", "heat"),
    "ruby": ("Kitchen", "Oven", "heat"),
    "php": ("Oven", "heat"),
    "bash": ("heat",),
}


def code(text, language="python"):
    return Document("src/a", text, "hash", f"text/x-{language}", "a")


def check(text, passages, max_tokens, count=estimate_tokens):
    covered = [False] * len(text)
    for passage in passages:
        assert passage.text == text[passage.start : passage.end]
        assert passage.text == passage.text.strip() != ""
        assert count(passage.text) <= max_tokens or len(passage.text) == 1
        assert passage.line_start == text.count("\n", 0, passage.start) + 1
        covered[passage.start : passage.end] = [True] * (passage.end - passage.start)
    assert all(covered[i] or text[i].isspace() for i in range(len(text)))
    assert all(before.end <= after.start for before, after in itertools.pairwise(passages))


@pytest.mark.parametrize("language", GRAMMARS)
def test_every_grammar_is_at_hand_and_names_its_definitions(language):
    assert syntax(SAMPLES[language], language) is not None
    passages = chunk(code(SAMPLES[language], language), 8, 0)
    check(SAMPLES[language], passages, 8)
    assert PATHS[language] in {passage.heading for passage in passages}


def definition(name, lines):
    return f"def {name}(x):\n" + "".join(f"    x = step_{n}(x, {n})\n" for n in range(lines)) + "    return x\n"


def test_functions_that_fit_are_passages_of_their_own_with_what_describes_them():
    first = "# Reads a file.\n# Carefully.\n@cache\n@other(1)\n" + definition("first", 5)
    second = definition("second", 5)
    passages = chunk(code(f"import os\n\n\n{first}\n\n{second}"), 80, 0)
    assert [(p.heading, p.text) for p in passages] == [
        ((), "import os"),
        (("first",), first.strip()),
        (("second",), second.strip()),
    ]


def test_where_a_function_and_what_describes_it_do_not_fit_together_the_function_stays_whole():
    for above in ("@cases(\n" + "    'a case of some words',\n" * 8 + ")\n", "# A line of a long comment.\n" * 8):
        function = definition("first", 5)
        passages = chunk(code(f"{above}{function}"), 80, 0)
        assert len(passages) == 2
        assert passages[1].text == function.strip()
        assert {passage.heading for passage in passages} == {("first",)}


def test_small_neighbours_share_a_passage_under_what_is_around_them():
    getters = "".join(f"    def get_{n}(self):\n        return self.{n}\n\n" for n in "abcdefghijkl")
    passages = chunk(code(f"class Big:\n    '''Holds.'''\n\n{getters}"), 80, 0)
    assert len(passages) < 8
    assert all(passage.heading == ("Big",) for passage in passages[:-1])
    assert passages[0].text.startswith("class Big:\n    '''Holds.'''")


def test_a_long_function_is_cut_between_statements_and_keeps_its_path():
    text = "class A:\n" + "".join(f"    {line}\n" for line in definition("run", 40).split("\n"))
    passages = chunk(code(text), 60, 0)
    assert len(passages) > 5
    assert all(passage.heading == ("A", "run") for passage in passages[1:])
    assert all(passage.text.endswith((")", "return x")) for passage in passages[1:])


def test_a_docstring_stays_with_the_first_line_and_a_bracket_with_what_it_closes():
    body = "\n".join(f"    call_{n}(argument, another_argument)" for n in range(30))
    (first, *_) = chunk(code(f'def run(x):\n    """Says what it does."""\n{body}\n'), 40, 0)
    assert first.text.startswith('def run(x):\n    """Says what it does."""')
    for passage in chunk(code("void run() {\n" + body.replace(")", ");") + "\n}\n", "c"), 40, 0):
        assert any(c.isalnum() for c in passage.text)


def test_unknown_languages_are_cut_at_blank_lines_and_indentation():
    text = "\n\n".join(f"PROCEDURE step{n}\n   DO a{n} b{n} c{n}\n   DO d{n} e{n}\nEND step{n}" for n in range(9))
    passages = chunk(code(text, "oberon"), 60, 0)
    check(text, passages, 60)
    assert all(passage.text.startswith("PROCEDURE") for passage in passages)
    assert all(passage.text.rsplit("\n", 1)[1].startswith("END") for passage in passages)


def test_a_missing_grammar_falls_back(monkeypatch):
    monkeypatch.setitem(sys.modules, "tree_sitter", None)
    rag.chunk_syntax._grammar.cache_clear()
    try:
        text = definition("run", 40)
        passages = chunk(code(text), 60, 0)
    finally:
        rag.chunk_syntax._grammar.cache_clear()
    check(text, passages, 60)
    assert {passage.heading for passage in passages} == {()}


def test_what_takes_too_long_to_parse_falls_back(monkeypatch):
    monkeypatch.setattr(rag.chunk_syntax, "PARSE_SECONDS", -1.0)
    text = definition("run", 4000)
    assert syntax(text, "python") is None
    check(text, chunk(code(text), 180, 0), 180)


def test_prose_in_an_unofficial_type_is_no_code():
    assert language_of(code("", "rst")) is None
    assert language_of(Document("a", "", "h", "text/markdown")) is None
    assert language_of(code("", "python")) == "python"


def test_the_parent_of_a_part_is_the_widest_definition_that_fits():
    text = "\n\n".join(f"class C{n}:\n" + textwrap.indent(definition(f"run{n}", 20), "    ") for n in range(6))
    passages = chunk(code(text), 60, 0, parent_tokens=400)
    for passage in passages:
        assert passage.parent_start <= passage.start < passage.end <= passage.parent_end
        assert text[passage.parent_start :].startswith(f"class {passage.heading[0]}")
        assert text[passage.parent_start : passage.parent_end].count("class ") == 1


FRAGMENTS = st.sampled_from(
    [
        "def f(x):",
        "    return x",
        "class A {",
        "}",
        "// comment",
        "# comment",
        "@decorator",
        "x = '''",
        "fn a() -> i32 { 1 }",
        "((((((",
        "if (a) { b(); } else {",
        "\tdeep = [1, 2, 3]",
        "é = '漢字🎉'",
        "\x00\x0c",
        "",
        "y" * 200,
        "call(" + "a, " * 40 + ")",
    ]
)
SOURCES = st.one_of(st.lists(FRAGMENTS, max_size=30).map("\n".join), st.text(max_size=300))


@settings(max_examples=200, deadline=None)
@given(text=SOURCES, language=st.sampled_from([*GRAMMARS, "cobol"]), max_tokens=st.integers(8, 60))
def test_any_text_as_any_language_is_covered_in_bounds(text, language, max_tokens):
    passages = chunk(code(text, language), max_tokens, 0)
    check(text, passages, max_tokens)
    for passage in passages:
        if passage.parent_end:
            assert passage.parent_start <= passage.start < passage.end <= passage.parent_end <= len(text)


@pytest.mark.parametrize(
    "text", ["(" * 50_000, "x = [" * 5_000, "if a {\n" * 3_000, "a.b()" * 10_000, "{}\n" * 20_000, "}\n" * 20_000]
)
@pytest.mark.parametrize("language", ["python", "javascript", "cobol"])
def test_hostile_nesting_neither_overflows_nor_runs_away(text, language):
    check(text, chunk(code(text, language), 180, 0), 180)


def test_this_rooms_own_files_are_cut_at_definitions():
    for path in sorted(ROOM.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        passages = chunk(code(text), 180, 0)
        check(text, passages, 180)
        for function in (node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)):
            whole = ast.get_source_segment(text, function)
            if 60 < estimate_tokens(whole) <= 150:
                assert [p.heading for p in passages if whole in p.text] in (
                    [(function.name,)],
                    [()][: len(passages) == 1],
                )


def test_a_long_fence_is_cut_by_the_syntax_of_its_language():
    functions = [definition(name, 5).strip() for name in ("first", "second", "third")]
    fence = "```python\n" + "\n\n\n".join(functions) + "\n```"
    passages = chunk(Document("a.md", f"# Steps\n\n{fence}\n", "h", "text/markdown"), 90, 0)
    assert {passage.heading for passage in passages} == {("Steps",)}
    for function in functions:
        assert sum(function in passage.text for passage in passages) == 1


def test_a_record_is_a_passage_unless_it_is_small():
    long = [f"id: {n}\ntext: " + f"word{n} " * 30 for n in range(4)]
    passages = chunk(Document("a.jsonl", "\n\n".join(long), "h", "application/jsonl"), 100, 10)
    assert [p.text for p in passages] == [record.strip() for record in long]
    short = "\n\n".join(f"id: {n}\nname: x" for n in range(60))
    passages = chunk(Document("a.jsonl", short, "h", "application/jsonl"), 100, 10)
    assert 3 < len(passages) < 15
    assert all(p.text.startswith("id: ") and p.text.endswith("name: x") for p in passages)
