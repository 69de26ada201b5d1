"""reStructuredText becomes Markdown, line by line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.load import load
from rag.load.rst import to_markdown

MANUAL = """\
==========
The manual
==========

.. _intro:

Intro
=====

Some :ref:`a label <x>` with ``code``, :class:`~a.b.C`, `link <https://example.org>`_ and a `ref`_.

.. note:: Take care.

.. versionadded:: 3.2
   New words.

Example::

    # no heading
    x = 1

Next
----

.. code-block:: python
   :linenos:

   y = 2

.. py:function:: spam(x)

   Cook spam.

.. a comment

.. include:: /etc/passwd
.. raw:: html
   :file: /etc/passwd
"""


@pytest.fixture
def manual(tmp_path):
    path = tmp_path / "manual.rst"
    path.write_text(MANUAL)
    return load(path)


def test_headings_code_links_and_roles_are_markdowns_own(manual):
    assert manual.title == "The manual"
    lines = manual.text.split("\n")
    assert [line for line in lines if line.startswith("#")] == ["# The manual", "## Intro", "### Next"]
    assert "Some a label with `code`, a.b.C, [link](https://example.org) and a ref." in lines
    assert "Note: Take care." in lines
    assert "Example:\n```\n    # no heading\n    x = 1\n```\n" in manual.text
    assert "```python\n\n\n   y = 2\n```\n" in manual.text


def test_directives_that_nobody_knows_keep_their_text(manual):
    """docutils would report them and drop what they hold."""
    assert "New words." in manual.text
    assert "spam(x)\n\n   Cook spam." in manual.text


def test_nothing_is_included_and_comments_stay_out(manual):
    assert "root:" not in manual.text
    assert "a comment" not in manual.text
    assert "passwd" not in manual.text.replace(":file: /etc/passwd", "")


def test_lines_are_the_files_own(manual):
    before, after = MANUAL.split("\n"), manual.text.split("\n")
    assert len(before) == len(after)
    for words in ("The manual", "Intro", "x = 1", "Cook spam.", "New words."):
        at = next(i for i, line in enumerate(before) if words in line)
        assert words in after[at]


def test_tables_are_markdowns_own():
    grid = "+---+-----+\n| a | b   |\n+===+=====+\n| 1 | two |\n+---+-----+"
    assert to_markdown(grid)[0] == "\n| a | b   |\n| --- | --- |\n| 1 | two |\n"
    simple = "===  ======\nA    B\n===  ======\n1    two w|\n3\n===  ======"
    expected = "\n| A | B |\n| --- | --- |\n| 1 | two w\\| |\n| 3 |  |\n"
    assert to_markdown(simple)[0] == expected


def test_code_with_a_fence_in_it_gets_a_longer_fence():
    assert to_markdown("So::\n\n    ```\n    x\n    ```\n\nafter")[0].split("\n")[1::4] == ["````", "````"]


@given(st.text(alphabet="a =-~\n:.`|+*_<>\t#", max_size=200))
def test_any_text_keeps_its_number_of_lines(text):
    assert to_markdown(text)[0].count("\n") == text.count("\n")


@given(
    st.lists(
        st.sampled_from(["Word", "====", "----", "Text.", "", "Code::", "    x = 1", ".. note:: n", "- item"]),
        max_size=20,
    )
)
def test_any_order_of_blocks_keeps_its_words(lines):
    text = "\n".join(lines)
    found = to_markdown(text)[0]
    for word in ("Word", "Text", "Code", "x = 1", "item"):
        assert found.count(word) == text.count(word)
