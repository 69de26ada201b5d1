"""Source code is kept as it is; its media type tells its language."""

import pytest

from rag.errors import DamagedDocument
from rag.load import discover, load
from rag.load.formats import BY_SUFFIX, CODE, FORMATS


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("a.py", "python"), ("a.js", "javascript"), ("a.ts", "typescript"), ("a.tsx", "tsx"), ("A.java", "java"),
        ("a.c", "c"), ("a.h", "c"), ("a.cpp", "cpp"), ("a.hpp", "cpp"), ("a.go", "go"), ("a.rs", "rust"),
        ("a.rb", "ruby"), ("a.php", "php"), ("a.cs", "csharp"), ("a.sh", "bash"), ("a.sql", "sql"), ("a.kt", "kotlin"),
        ("a.swift", "swift"), ("a.scala", "scala"), ("a.lua", "lua"), ("a.R", "r"), ("a.jl", "julia"),
        ("a.yaml", "yaml"), ("a.toml", "toml"), ("a.ini", "ini"), ("Makefile", "make"), ("Dockerfile", "dockerfile"),
        ("CMakeLists.txt", "cmake"),
    ],
)  # fmt: skip
def test_the_name_tells_the_language(write, name, language):
    document = load(write(name, "one\n    two # three\n"))
    assert document.media_type == f"text/x-{language}"
    assert document.text == "one\n    two # three\n"
    assert document.title == name
    assert document.segments == ()
    assert list(discover([write(name, "x").parent])) == [write(name, "x")]


def test_every_line_stays_where_it_is(write):
    source = "\n\n# -*- not markdown -*-\n\ndef f():\n\treturn '```'\n\n\n\n"
    assert load(write("a.py", source)).text == source
    assert load(write("b.py", source.replace("\n", "\r\n"))).text == source


@pytest.mark.parametrize(
    ("head", "encoding"),
    [("# -*- coding: koi8-r -*-", "koi8-r"), ("#!/usr/bin/python\n# vim: set fileencoding=latin-1 :", "latin-1")],
)
def test_a_declared_encoding_is_heeded(write, head, encoding):
    text = f"{head}\nx = 'é'\n" if encoding == "latin-1" else f"{head}\nx = 'ёж'\n"
    assert load(write("a.py", text.encode(encoding))).text == text


@pytest.mark.parametrize("name", ["hex", "zip", "rot13", "utf-7", "no-such-charset", "idna"])
def test_a_declared_encoding_that_is_none_is_ignored(write, name):
    text = f"# coding: {name}\nx = 'é+AGE-'\n"
    assert load(write("a.py", text)).text == text


def test_compiled_code_is_refused(write):
    with pytest.raises(DamagedDocument, match="binary"):
        load(write("a.py", b"\xa7\r\r\n\0\0\0\0\xe3\0\0\0"))


def test_no_suffix_stands_for_two_formats():
    suffixes = [suffix for each in FORMATS for suffix in each.suffixes]
    assert len(suffixes) == len(set(suffixes)) == len(BY_SUFFIX)
    assert all(each.media_type == f"text/x-{language}" for language, each in CODE.items())
