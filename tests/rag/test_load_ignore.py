"""Which files of a folder are left out: ignore files as Git has them, and patterns given by the user."""

import pytest

from decoder.errors import UsageError
from rag.load import discover


@pytest.fixture
def tree(tmp_path):
    """Makes files of these names (with their contents, where they have one), and finds documents in them."""

    def tree(*names, **options):
        for name in names:
            name, content = name if isinstance(name, tuple) else (name, "x")
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        found = discover([tmp_path], **options)
        return [path.relative_to(tmp_path).as_posix() for path in found], found.ignored

    return tree


def test_a_hearthignore_holds_there_and_below(tree):
    rules = (".hearthignore", "# drafts\n*.draft.md\n/private/\nlogs/**/*.txt\n\n")
    found, ignored = tree(
        rules, "a.md", "a.draft.md", "private/b.md", "c/private/d.md", "c/e.draft.md", "logs/f.txt", "logs/x/g.txt",
        "logs/h.md",
    )  # fmt: skip
    assert found == ["a.md", "c/private/d.md", "logs/h.md"]
    assert ignored == 5  # a folder counts as one


def test_a_file_deeper_down_can_take_back_what_one_above_says(tree):
    found, ignored = tree(
        (".hearthignore", "*.txt\n"), ("keep/.hearthignore", "!*.txt\n"), "a.txt", "keep/b.txt", "keep/c/d.txt"
    )
    assert (found, ignored) == (["keep/b.txt", "keep/c/d.txt"], 1)


def test_a_pattern_of_a_deeper_file_is_relative_to_it(tree):
    found, _ = tree(("b/.hearthignore", "/a.md\n"), "a.md", "b/a.md", "b/c/a.md")
    assert found == ["a.md", "b/c/a.md"]


def test_a_gitignore_holds_only_when_asked(tree):
    files = [(".gitignore", "build/\n*.log.txt\n"), "build/a.md", "b.log.txt", "c.md"]
    assert tree(*files) == (["b.log.txt", "build/a.md", "c.md"], 0)
    assert tree(gitignore=True) == (["c.md"], 2)


def test_a_hearthignore_has_the_last_word_over_a_gitignore(tree):
    found, _ = tree((".gitignore", "docs.md\n"), (".hearthignore", "!docs.md\n"), "docs.md", gitignore=True)
    assert found == ["docs.md"]


def test_patterns_given_leave_out_or_let_in(tree):
    files = ["a.md", "a.txt", "docs/b.md", "docs/c.txt", "old/d.md"]
    assert tree(*files, exclude=["*.txt", "old/"]) == (["a.md", "docs/b.md"], 3)
    assert tree(include=["*.txt"]) == (["a.txt", "docs/c.txt"], 3)
    assert tree(include=["docs/**"], exclude=["*.txt"])[0] == ["docs/b.md"]


def test_a_file_that_is_named_itself_is_always_found(tree, tmp_path):
    tree((".hearthignore", "*\n"), "a.md")
    assert list(discover([tmp_path / "a.md"], exclude=["*"])) == [tmp_path / "a.md"]


def test_two_folders_have_rules_of_their_own(tmp_path):
    for name, rules in (("one", "*.txt"), ("two", "*.md")):
        (tmp_path / name).mkdir()
        (tmp_path / name / ".hearthignore").write_text(rules)
        for suffix in ("md", "txt"):
            (tmp_path / name / f"a.{suffix}").write_text("x")
    found = [path.relative_to(tmp_path).as_posix() for path in discover([tmp_path / "one", tmp_path / "two"])]
    assert found == ["one/a.md", "two/a.txt"]


def test_the_current_folder_has_rules_too(tree, tmp_path, monkeypatch):
    tree((".hearthignore", "/b.md"), "a.md", "b.md", "c/b.md")
    monkeypatch.chdir(tmp_path)
    assert [path.as_posix() for path in discover(["."])] == ["a.md", "c/b.md"]


def test_rules_that_cannot_be_read_are_an_error_and_not_no_rules(tree, tmp_path):
    with pytest.raises(UsageError, match="include"):
        tree("a.md", include=["!"])
    (tmp_path / ".hearthignore").write_bytes(b"x" * (1 << 20) + b"\n")
    with pytest.raises(UsageError, match=r"\.hearthignore is larger"):
        tree()


def test_a_link_is_no_file_of_rules(tree, tmp_path):
    (tmp_path / "rules").write_text("*.md")
    (tmp_path / ".hearthignore").symlink_to(tmp_path / "rules")
    assert tree("a.md")[0] == ["a.md"]
