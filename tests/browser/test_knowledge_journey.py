"""In a real browser: a knowledge base is made, watched while it reads, searched, and a document deleted."""

import re

import pytest


@pytest.mark.browser
def test_two_files_are_dropped_watched_searched_and_one_is_deleted(live, window, tmp_path):
    (tmp_path / "lamp.md").write_text("# Lamps\n\nThe lamp by the door needs two batteries of the large kind.\n")
    (tmp_path / "<b>cup<b>.md").write_text("# Cups\n\n<img src=x onerror=alert(1)> The cup is blue.\n")
    window.set_default_timeout(40_000)
    window.goto(live.url)
    window.get_by_role("link", name="Knowledge").click()
    window.get_by_role("textbox", name="Name").fill("journey")
    with window.expect_file_chooser() as chooser:
        window.get_by_test_id("stFileUploaderDropzone").first.locator("button").first.click()
    chooser.value.set_files(sorted(tmp_path.glob("*.md")))
    window.get_by_text("lamp.md").wait_for()
    window.get_by_role("button", name="Create and read").click()
    window.get_by_role("progressbar").first.wait_for()
    window.get_by_text("Last time: 2 added").wait_for(timeout=60_000)

    window.get_by_role("tab", name="Search").click()
    box = window.get_by_role("textbox", name="Search")
    box.fill("which batteries does the lamp need")
    box.press("Enter")
    window.get_by_text("1. lamp.md, lines 1-3").wait_for()
    window.get_by_text(re.compile(r"meaning 0\.\d{3} \(cosine, rank 1\) · words \d+\.\d\d \(BM25, rank 1\)")).wait_for()
    assert window.locator("img[src=x]").count() == 0

    window.get_by_role("tab", name="Documents").click()
    table = window.get_by_role("tabpanel", name="Documents").get_by_test_id("stDataFrame")
    table.get_by_test_id("data-grid-canvas").wait_for()
    place = table.bounding_box()
    window.mouse.click(place["x"] + 18, place["y"] + 38 + 17)  # the first row's box: a canvas has no elements
    window.get_by_role("button", name="Delete (1)").click()
    window.get_by_role("button", name="Delete", exact=True).click()
    window.get_by_role("button", name="Delete (1)").wait_for(state="detached")
    window.get_by_role("tab", name="Statistics").click()
    window.get_by_test_id("stMetricValue").filter(has_text=re.compile("^1$")).first.wait_for()
