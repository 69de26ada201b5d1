"""What goes wrong in one part of a page leaves the others where they are."""

import pytest
from streamlit.testing.v1 import AppTest


def page():
    import streamlit as st

    from decoder.errors import UsageError
    from ui.browser.problems import apart, live

    def gone(what):
        if what == "a bug":
            raise ZeroDivisionError
        raise UsageError("looking for a job", "there is no such job", "It may have been removed")

    for what in ("a bug", "removed"):
        with apart():
            gone(what)
        live(gone, None)(what)
    with apart():
        st.text("above")
        if not st.session_state.get("again"):
            st.session_state["again"] = True
            st.rerun()
    st.text("below")


def test_a_part_that_fails_takes_nothing_with_it(home, caplog):
    shown = AppTest.from_function(page, default_timeout=30).run()
    assert not shown.exception
    assert [each.value for each in shown.text] == ["above", "below"]
    assert len(shown.error) == 4
    assert "looking for a job" in shown.error[2].value
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("part", ["show_cards", "show_servers", "show_metrics", "show_doctor"])
def test_jobs_can_be_stopped_whatever_else_of_the_health_page_fails(open_page, monkeypatch, part):
    def broken(*_):
        raise ZeroDivisionError

    module = {"show_cards": "cards", "show_servers": "servers", "show_metrics": "charts", "show_doctor": "doctor"}[part]
    monkeypatch.setattr(f"ui.browser.health_{module}.{part}", broken)
    shown = open_page("health")
    assert [each.value for each in shown.subheader][-2:] == ["Jobs", "Is everything in order?"]
