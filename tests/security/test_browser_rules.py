"""What pages must never do, read from their source: raw HTML, frames, text from outside in places for Markdown."""

import ast
import re
import tomllib

import pytest

from tests.browser.conftest import HOUSE

FILES = sorted(
    [*(HOUSE / "ui" / "pages").glob("*.py"), *(HOUSE / "ui" / "browser").glob("*.py"), HOUSE / "ui" / "app.py"]
)
TREES = {file.relative_to(HOUSE).as_posix(): ast.parse(file.read_text(encoding="utf-8")) for file in FILES}
FORBIDDEN = {"html", "iframe", "write_stream", "echo", "exception", "latex", "components", "json", "help"}
"""Of Streamlit's: HTML, frames, formulas, what mends Markdown in the browser, and what shows an object's insides."""
PLACES = """
    markdown write caption title header subheader error warning info success toast button checkbox toggle radio expander
    popover metric text_input text_area status selectbox multiselect slider number_input file_uploader link_button
    download_button form_submit_button spinner segmented_control pills select_slider badge
"""
MARKDOWN = set(PLACES.split())
"""What shows its first argument as Markdown; `metric` all of its arguments."""
OPTIONS = {"radio", "pills", "segmented_control"}
"""What shows each option as Markdown."""
SAFE = {"say", "plain", "safe_markdown", "len", "round", "int", "abs", "sum", "min", "max", "strftime", "letters"}
"""What gives words of ours, text made safe, or figures."""
REVIEWED = {  # figures, and what is made of safe text
    "ui/browser/agent_live.py": {"label"},  # of pairs of our own words, as the next two
    "ui/browser/chat_compare.py": {"keep"},
    "ui/browser/chat_turns.py": {"label"},
    "ui/browser/align_feedback_view.py": {"stats['kinds'].get(kind, 0)"},
    "ui/browser/align_look_view.py": {"_KEPT.sub(' ', safe).replace(_SPACE, '\\xa0')"},
    "ui/browser/health_charts.py": {"f'{value:.1f}'.rstrip('0').rstrip('.')"},
    "ui/browser/knowledge_care.py": {  # names of knowledge bases are letters, digits, - and _
        "knowledge_base.removeprefix(self.prefix)",
        "_KEPT.sub(' ', safe).replace(_SPACE, '\\xa0')",
    },
    "ui/browser/knowledge_search.py": {"reason.rank"},
    "ui/browser/knowledge_statistics.py": {"known[name]"},
    "ui/browser/prompt_compare.py": {"list(range(2, MOST_VARIANTS + 1))"},
    "ui/browser/prompt_try.py": {"consensus.asked", "consensus.usage.completion_tokens"},
}
NAMING = {
    "name",
    "title",
    "text",
    "file",
    "path",
    "model",
    "source",
    "question",
    "label",
    "url",
    "query",
    "cause",
    "error",
}
NAMING |= {
    "place",
    "kb",
    "remedy",
    "folder",
    "tool",
    "prompt",
    "recipe",
    "dataset",
    "reason",
    "message",
    "person",
    "server",
}
"""What words are put in by, where texts from outside are put in."""


class Reading:
    """The source of the pages, to follow a value to where it was made."""

    def __init__(self, trees):
        self.within, self.files, self.functions, self.called = {}, {}, {}, {}
        for file, tree in trees.items():
            for parent in ast.walk(tree):
                self.files[parent] = file
                for child in ast.iter_child_nodes(parent):
                    self.within[child] = parent
                if isinstance(parent, ast.FunctionDef):
                    self.functions.setdefault(parent.name, []).append(parent)
                if isinstance(parent, ast.Call):
                    self.called.setdefault(name_of(parent), []).append(parent)

    def unsafe(self, node, seen=()):
        """Parts of a value that nothing made safe, as far as the source tells."""
        if node in seen or isinstance(node, ast.Constant) or (isinstance(node, ast.Name) and node.id.isupper()):
            return []
        seen = {*seen, node}
        if isinstance(node, ast.FormattedValue):
            return [] if node.format_spec is not None else self.unsafe(node.value, seen)
        if isinstance(node, ast.Subscript):
            return [] if ast.unparse(node.value).isupper() else [node]
        if isinstance(node, ast.Call):
            return self._of_call(node, seen)
        if isinstance(node, ast.Name):
            return self._of_name(node, seen)
        parts = {
            ast.IfExp: lambda: [node.body, node.orelse],
            ast.Starred: lambda: [node.value],
            ast.JoinedStr: lambda: node.values,
            ast.BoolOp: lambda: node.values,
            ast.Tuple: lambda: node.elts,
            ast.List: lambda: node.elts,
            ast.BinOp: lambda: [node.left, node.right],
            ast.GeneratorExp: lambda: [node.elt],
            ast.ListComp: lambda: [node.elt],
        }.get(type(node))
        return [node] if parts is None else self._all(parts(), seen)

    def _all(self, nodes, seen):
        return [each for node in nodes for each in self.unsafe(node, seen)]

    def _of_call(self, call, seen):
        name = name_of(call)
        if name == "say":
            return self._all([each.value for each in call.keywords if each.arg in NAMING], seen)
        if name in SAFE:
            return []
        if name in ("join", "filter"):
            return self.unsafe(call.args[-1], seen)
        if name == "get" and ast.unparse(call.func.value).isupper():
            return self._all(call.args[1:], seen)
        returned = [
            node.value
            for function in self._near(self.functions.get(name, []), call)
            for node in ast.walk(function)
            if isinstance(node, ast.Return) and node.value is not None
        ]
        return self._all(returned, seen) if returned else [call]

    def _of_name(self, node, seen):
        function = node
        while function in self.within and not isinstance(function, ast.FunctionDef):
            function = self.within[function]
        values = [value for each in ast.walk(function) for value in self._given(each, node.id)]
        if not values and isinstance(function, ast.FunctionDef):
            values = list(self._handed(function, node.id))
        return self._all(values, seen) if values else [node]

    def _near(self, found, node):
        """Those of the module that is named, or of the same file, if these have any of the name."""
        module = ast.unparse(node.func.value) if isinstance(getattr(node, "func", None), ast.Attribute) else ""
        named = [each for each in found if self.files[each].endswith(f"/{module}.py")]
        return named or [each for each in found if self.files[each] == self.files[node]] or found

    def _given(self, statement, name):
        """What a statement puts into a name."""
        pairs = []
        if isinstance(statement, ast.Assign):
            pairs = [(target, statement.value) for target in statement.targets]
        elif isinstance(statement, ast.AugAssign | ast.AnnAssign | ast.NamedExpr) and statement.value is not None:
            pairs = [(statement.target, statement.value)]
        elif isinstance(statement, ast.For | ast.comprehension) and isinstance(statement.iter, ast.Tuple | ast.List):
            pairs = [(statement.target, value) for value in statement.iter.elts]
        for target, value in pairs:
            if isinstance(target, ast.Name) and target.id == name:
                yield value
            elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                yield from (v for t, v in zip(target.elts, value.elts, strict=True) if getattr(t, "id", "") == name)

    def _handed(self, function, name):
        """What callers hand in as a parameter."""
        names = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
        for call in self._near(self.called.get(function.name, []), function):
            if name in names and len(call.args) > names.index(name):
                yield call.args[names.index(name)]
            yield from (each.value for each in call.keywords if each.arg == name)


def calls(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def name_of(call):
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


READING = Reading(TREES)


@pytest.mark.parametrize("file", TREES)
def test_no_html_no_frames_no_guessing(file):
    for call in calls(TREES[file]):
        said = ast.unparse(call)[:120]
        assert not (ast.unparse(call.func).startswith("st.") and name_of(call) in FORBIDDEN), said
        assert "unsafe_allow_html" not in {each.arg for each in call.keywords}, said
        assert "components" not in ast.unparse(call.func).split("."), said


@pytest.mark.parametrize("file", TREES)
def test_what_is_shown_as_markdown_was_made_safe(file):
    assert {each for call in calls(TREES[file]) for each in raw_parts(call)} <= REVIEWED.get(file, set())


def raw_parts(call):
    """What a call shows as Markdown though nothing made it safe."""
    name, shown = name_of(call), []
    if not isinstance(call.func, ast.Attribute) or name not in MARKDOWN:
        return []
    if name == "write" and ast.unparse(call.func.value) != "st":
        return []
    shown += call.args if name == "metric" else call.args[:1]
    shown += [each.value for each in call.keywords if each.arg in ("label", "body", "help", "delta", "text")]
    formats = [each.value for each in call.keywords if each.arg == "format_func" and name in OPTIONS]
    shown += [each.body for each in formats if isinstance(each, ast.Lambda)]
    if name in OPTIONS and not formats:
        shown += call.args[1:2]
    return [ast.unparse(each) for node in shown for each in READING.unsafe(node)]


def words():
    tables = tomllib.loads((HOUSE / "ui" / "browser" / "en.toml").read_text(encoding="utf-8"))
    return {f"{section}.{name}" for section, entries in tables.items() for name in entries}


def said():
    """Keys that the source names: whole ones, and for those that are put together the pattern."""
    strings, patterns = set(), set()
    for tree in TREES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                strings.add(node.value)
            if isinstance(node, ast.JoinedStr):
                parts = (
                    re.escape(str(each.value)) if isinstance(each, ast.Constant) else "[a-z0-9_]+"
                    for each in node.values
                )
                patterns.add("".join(parts))
    sections = {key.split(".")[0] for key in words()}
    known = re.compile(rf"(?:{'|'.join(sections)})\.[a-z0-9_]+")
    return {each for each in strings if known.fullmatch(each)}, {
        each for each in patterns if each.split("\\.")[0] in sections
    }


def test_every_word_that_is_said_is_there():
    literal = {
        node.args[0].value
        for tree in TREES.values()
        for node in calls(tree)
        if name_of(node) == "say" and node.args and isinstance(node.args[0], ast.Constant)
    }
    assert literal <= words()


def test_every_word_that_is_there_is_said():
    strings, patterns = said()
    used = {key for key in words() if key in strings or any(re.fullmatch(each, key) for each in patterns)}
    assert words() - used == set()


def test_values_are_put_in_by_the_names_that_the_words_have():
    """`say` with a name that is missing would fail only when it is shown."""
    tables = tomllib.loads((HOUSE / "ui" / "browser" / "en.toml").read_text(encoding="utf-8"))
    wrong = []
    for file, tree in TREES.items():
        for call in calls(tree):
            if name_of(call) != "say" or not call.args or not isinstance(call.args[0], ast.Constant):
                continue
            section, name = call.args[0].value.split(".", 1)
            wanted = set(re.findall(r"\{(\w+)[^}]*\}", tables[section][name]))
            given = {each.arg for each in call.keywords}
            if None not in given and given != wanted:
                wrong.append((file, call.args[0].value, wanted ^ given))
    assert not wrong


@pytest.mark.parametrize("file", TREES)
def test_no_page_and_no_job_touches_a_secret(file):
    named = {node.attr for node in ast.walk(TREES[file]) if isinstance(node, ast.Attribute)}
    named |= {node.id for node in ast.walk(TREES[file]) if isinstance(node, ast.Name)}
    assert not {each for each in named if re.search(r"api_key|password|token_secret", each)}
    if file != "ui/browser/person.py":  # asks whether sign-in is set up
        assert "secrets" not in {node.attr for node in ast.walk(TREES[file]) if ast.unparse(node) == "st.secrets"}
