"""Docstrings of three styles say the same; no text whatever breaks the reading."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.docstrings import read_docstring

GOOGLE = """Convert an amount.

    Rates are of today.

    Args:
        amount (float): how much,
            in whole units
        currency: an ISO code: EUR, USD

    Returns:
        The amount in euros.

    Raises:
        ValueError: no such currency.
    """
NUMPY = """Convert an amount.

    Rates are of today.

    Parameters
    ----------
    amount : float
        how much,
        in whole units
    currency : str, optional
        an ISO code: EUR, USD

    Returns
    -------
    float
        The amount in euros.
    """
SPHINX = """Convert an amount.

    Rates are of today.

    :param float amount: how much,
        in whole units
    :param currency: an ISO code: EUR, USD
    :type currency: str
    :returns: The amount in euros.
    :raises ValueError: no such currency.
    """


@pytest.mark.parametrize("docstring", [GOOGLE, NUMPY, SPHINX], ids=["google", "numpy", "sphinx"])
def test_three_styles(docstring):
    found = read_docstring(docstring)
    assert found.text == "Convert an amount.\n\nRates are of today.\n\nReturns: The amount in euros."
    assert found.parameters == {"amount": "how much, in whole units", "currency": "an ISO code: EUR, USD"}


@pytest.mark.parametrize("docstring", [None, "", "  \n "])
def test_no_docstring(docstring):
    assert read_docstring(docstring).text == ""


def test_several_parameters_at_once():
    found = read_docstring("Move.\n\nParameters\n----------\nx, y : int\n    Where to.\n*rest\n    More.")
    assert found.parameters == {"x": "Where to.", "y": "Where to.", "rest": "More."}


def test_a_sentence_with_a_colon_is_no_section():
    assert read_docstring("Note: this deletes. Args: none.").text == "Note: this deletes. Args: none."


PIECES = [
    "Args:",
    "Parameters\n----------",
    ":param",
    ":param x:",
    ":returns:",
    "x : int",
    "    x: y",
    "Returns:",
    "\n",
    "-",
]


@given(st.one_of(st.text(), st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=8))).map("\n".join)))
def test_any_text_is_read(docstring):
    found = read_docstring(docstring)
    assert all(isinstance(text, str) and text for text in found.parameters.values())


NAMES = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True)
WORDS = st.from_regex(r"[a-z]{2,8}( [a-z]{2,8}){0,4}", fullmatch=True)


def as_google(parameters):
    return "Do it.\n\nArgs:\n" + "\n".join(f"    {name}: {text}" for name, text in parameters.items())


def as_numpy(parameters):
    lines = "\n".join(f"{name} : int\n    {text}" for name, text in parameters.items())
    return f"Do it.\n\nParameters\n----------\n{lines}"


def as_sphinx(parameters):
    return "Do it.\n\n" + "\n".join(f":param {name}: {text}" for name, text in parameters.items())


@pytest.mark.parametrize("write", [as_google, as_numpy, as_sphinx])
@given(parameters=st.dictionaries(NAMES, WORDS, min_size=1, max_size=5))
def test_what_is_written_in_a_style_is_read_back(write, parameters):
    found = read_docstring(write(parameters))
    assert found.text == "Do it."
    assert found.parameters == parameters
