"""Formulas of office files as LaTeX."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.errors import DamagedDocument
from rag.load.omml import WRITERS, latex
from rag.load.safe_xml import parse_xml

M = "http://schemas.openxmlformats.org/officeDocument/2006/math"


def run(text):
    return f"<m:r><m:t>{text}</m:t></m:r>"


def written(body):
    return latex(parse_xml(f'<m:oMath xmlns:m="{M}">{body}</m:oMath>'.encode()))


N, K, X = run("n"), run("k"), run("x")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (run("A=πr") + run("×2≤∞"), r"A=\pi r\times 2\leq \infty"),
        (f"<m:f><m:num>{N}</m:num><m:den>{K}</m:den></m:f>", r"\frac{n}{k}"),
        (f'<m:f><m:fPr><m:type m:val="noBar"/></m:fPr><m:num>{N}</m:num><m:den>{K}</m:den></m:f>', r"{n \atop k}"),
        (f"<m:sSup><m:e>{X}</m:e><m:sup>{N}</m:sup></m:sSup>", "x^{n}"),
        (f"<m:sSubSup><m:e>{X}</m:e><m:sub>{K}</m:sub><m:sup>{N}</m:sup></m:sSubSup>", "x_{k}^{n}"),
        (f"<m:rad><m:deg/><m:e>{X}</m:e></m:rad>", r"\sqrt{x}"),
        (f"<m:rad><m:deg>{N}</m:deg><m:e>{X}</m:e></m:rad>", r"\sqrt[n]{x}"),
        (f'<m:nary><m:naryPr><m:chr m:val="∑"/></m:naryPr><m:sub>{K}</m:sub><m:e>{X}</m:e></m:nary>', r"\sum_{k} x"),
        (f"<m:nary><m:sup>{N}</m:sup><m:e>{X}</m:e></m:nary>", r"\int^{n} x"),
        (f"<m:d><m:e>{X}</m:e><m:e>{N}</m:e></m:d>", r"\left( x\vert n \right)"),
        (f'<m:d><m:dPr><m:begChr m:val="{{"/><m:endChr m:val=""/></m:dPr><m:e>{X}</m:e></m:d>', r"\left\{ x \right."),
        (f"<m:func><m:fName>{run('sin')}</m:fName><m:e>{X}</m:e></m:func>", r"\sin x"),
        (f"<m:m><m:mr><m:e>{X}</m:e><m:e>{N}</m:e></m:mr><m:mr><m:e>{K}</m:e></m:mr></m:m>",
         r"\begin{matrix} x & n \\ k \end{matrix}"),
        (f"<m:unheardOf><m:e>{X}</m:e></m:unheardOf>", "x"),
    ],
)  # fmt: skip
def test_formulas_keep_their_shape(body, expected):
    assert written(body) == expected


NAMES = st.sampled_from([*WRITERS, "e", "num", "den", "sub", "sup", "t", "fPr", "dPr", "chr", "mr"])
TREES = st.recursive(
    st.text("xyπ∑|{}\\", max_size=3),
    lambda inner: st.builds(
        lambda name, parts: f"<m:{name}>{''.join(parts)}</m:{name}>", NAMES, st.lists(inner, max_size=4)
    ),
    max_leaves=15,
)


@given(TREES)
def test_whatever_stands_where_it_should_not_is_written_on_one_line(body):
    try:
        assert "\n" not in written(body)
    except DamagedDocument as error:
        pytest.fail(f"the test made no XML: {error}")
