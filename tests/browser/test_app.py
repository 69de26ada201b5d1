"""The app as a whole: pages, navigation, and that a page's fault does not show its insides."""

import pytest

PAGES = ["chat", "knowledge", "agents", "prompts", "alignment", "pictures", "health"]


@pytest.mark.parametrize("name", PAGES)
def test_each_page_opens_on_an_empty_home(open_page, name):
    page = open_page(name)
    assert page.title[0].value == name.capitalize()
    assert not page.error


@pytest.mark.browser
def test_the_app_opens_in_a_browser(live, window):
    window.goto(live.url)
    window.get_by_role("heading", name="Chat").wait_for()
    window.get_by_role("link", name="Health").click()
    window.get_by_role("heading", name="Health", exact=True).wait_for()
