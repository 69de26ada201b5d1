"""What screen readers, keyboards and narrow screens meet: axe-core on every page, in light and in dark."""

import re
from pathlib import Path

import pytest

from tests.browser.conftest import running_ui

axe = pytest.importorskip("axe_playwright_python", reason="axe-core comes with axe-playwright-python")
AXE = (Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
PAGES = ["chat", "knowledge", "agents", "prompts", "alignment", "pictures", "health"]
STREAMLITS = {
    "svg-img-alt": r"role=\"graphics-symbol\"|mark-",  # Vega names its marks for screen readers without a title
    # In dark, the chosen one is written in the primary colour, on which buttons have white: none suits both.
    "color-contrast": r'data-testid="stButtonGroup"',
    "scrollable-region-focusable": r'data-testid="(stVerticalBlock|stDialog|stMain)"',  # st.container(height=…)
}
"""Serious findings of axe that a page of Streamlit's bare widgets has too (bare_page.py), and the nodes they are at."""
RUN = """async (rules) => {
    const only = rules ? {runOnly: rules} : {};
    const {violations} = await axe.run(document, {resultTypes: ['violations'], ...only});
    for (const {nodes} of violations) for (const node of nodes) {
        const group = document.querySelector(node.target[0])?.closest('[data-testid=stButtonGroup]');
        node.group = group ? group.outerHTML.slice(0, 300) : '';
    }
    return violations;
}"""
SETTLED = """() => !document.querySelector('[data-testid=stSkeleton], [data-stale=true]')
    && (!document.querySelector('[data-testid=stStatusWidget]')
        || document.querySelector('.stApp').dataset.testScriptState === 'notRunning')"""

DARK = "() => getComputedStyle(document.querySelector('.stApp')).backgroundColor === 'rgb(27, 24, 22)'"
WIDTH = "Math.max(document.documentElement.scrollWidth, document.getElementById('stMain').scrollWidth)"


@pytest.fixture(scope="module")
def shown(tmp_path_factory, mock_decoder):
    """A `hearth ui` with nothing in its home yet."""
    environment = {"HEARTH_DECODER_BASE_URL": mock_decoder.base_url, "HEARTH_DECODER_PRESET": "openai"}
    with running_ui(tmp_path_factory.mktemp("shown"), **environment) as running:
        yield running


def opened(window, live, name):
    window.goto(f"{live.url}/{name}")
    window.get_by_role("heading", name=name.capitalize(), exact=True).first.wait_for()
    window.wait_for_function(SETTLED)


def findings(window, rules=None):
    """Serious and critical findings that are ours, as one line each; of these rules alone where they are given."""
    window.evaluate(AXE)
    found = window.evaluate(RUN, rules)
    return [
        f"{each['impact']} {each['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
        if not re.search(STREAMLITS.get(each["id"], "$^"), node["group"] or node["html"])
    ]


def lasting(window, rules, tries=20):
    """What is still found once everything has changed its colours: some parts do so after the page."""
    for _ in range(tries):
        if not (found := findings(window, rules)):
            break
        window.wait_for_timeout(500)
    return found


@pytest.mark.browser
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_for_everybody(shown, window, name):
    """In light and in dark, by keyboard, and on a narrow screen."""
    opened(window, shown, name)
    assert findings(window) == []
    assert reached_by_tab(window)
    window.emulate_media(color_scheme="dark")
    window.wait_for_function(DARK)
    assert lasting(window, ["color-contrast"]) == []
    window.set_viewport_size({"width": 400, "height": 800})
    window.wait_for_function(f"() => {WIDTH} <= 400")  # a chart takes a moment to grow narrow


def reached_by_tab(window):
    """Whether Tab comes to a field to write in or a primary button, where the page has one."""
    wanted = window.locator(
        "#stMain [data-testid=stChatInputTextArea], [data-testid=stBottom] textarea,"
        "#stMain button[kind=primary]:not([disabled])"
    ).filter(visible=True)
    return not wanted.count() or _reached(window, wanted)


def _reached(window, wanted, most=80):
    for _ in range(most):
        window.keyboard.press("Tab")
        if wanted.evaluate_all("nodes => nodes.includes(document.activeElement)"):
            return True
    return False
