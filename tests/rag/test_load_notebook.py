"""Notebooks become Markdown: text as written, code in fences, text output short, no pictures."""

import json

import pytest

from rag.errors import DamagedDocument, NoText
from rag.load import load


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "a.ipynb"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def notebook(*cells, **metadata):
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": list(cells)}


def code(source, *outputs):
    return {"cell_type": "code", "source": source, "outputs": list(outputs)}


def test_text_code_and_short_output(write):
    picture = {"output_type": "display_data", "data": {"image/png": "iVBORw0KGgo=", "text/html": "<b>x</b>"}}
    document = load(
        write(
            notebook(
                {"cell_type": "markdown", "source": ["# Sales\n", "\n", "All of *2026*."]},
                code(["x = 1\n", "x"], {"output_type": "execute_result", "data": {"text/plain": ["1"]}}, picture),
                code("print('a')", {"output_type": "stream", "text": "\x1b[31ma\x1b[0m\n"}),
                code("1/0", {"output_type": "error", "ename": "ZeroDivisionError", "evalue": "division by zero"}),
                code(""),
                language_info={"name": "python"},
            )
        )
    )
    assert document.title == "Sales"
    assert document.metadata == {"language": "python"}
    assert document.media_type == "application/x-ipynb+json"
    assert document.text == (
        "# Sales\n\nAll of *2026*.\n\n```python\nx = 1\nx\n```\n\n```\n1\n```\n\n```python\nprint('a')\n```\n\n"
        "```\na\n```\n\n```python\n1/0\n```\n\n```\nZeroDivisionError: division by zero\n```\n"
    )


def test_long_output_is_cut_and_says_so(write):
    lines = "".join(f"line {n}\n" for n in range(100))
    text = load(write(notebook(code("f()", {"output_type": "stream", "text": lines})))).text
    assert "line 29\n…" in text
    assert "line 30" not in text


def test_other_languages_and_older_notebooks(write):
    assert "```r\nx" in load(write(notebook(code("x"), kernelspec={"language": "R"}))).text
    old = {
        "worksheets": [
            {"cells": [{"cell_type": "heading", "level": 2, "source": "Old"}, {"cell_type": "code", "input": "y"}]}
        ]
    }
    assert load(write(old)).text == "## Old\n\n```python\ny\n```\n"


def test_code_with_a_fence_in_it_gets_a_longer_fence(write):
    assert "````python\ns = '```'\n````" in load(write(notebook(code("s = '```'")))).text


@pytest.mark.parametrize("content", ["", "{", "[1]", '"text"', "[" * 100_000])
def test_what_is_no_notebook_is_damaged(write, content):
    with pytest.raises((DamagedDocument, NoText)):
        load(write(content))


@pytest.mark.parametrize(
    "content", [{}, {"cells": 1}, {"cells": [1, {"cell_type": "code", "outputs": [1, {"data": 2}]}]}]
)
def test_a_notebook_without_words_has_no_text(write, content):
    with pytest.raises(NoText):
        load(write(content))
