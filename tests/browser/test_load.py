"""Several sessions chat at once, over Streamlit's own protocol: every answer arrives whole and where it belongs.

`python -m benchmarks.ui_load` is the same with fifty, and measures.
"""

import asyncio

import pytest

from benchmarks import ui_load
from benchmarks.concurrency import mock_server
from tests.browser.conftest import running_ui


@pytest.mark.browser
def test_five_sessions_at_once_lose_no_text(tmp_path):
    pytest.importorskip("streamlit")
    with (
        mock_server(ui_load.__file__) as decoder,
        running_ui(tmp_path, HEARTH_DECODER_BASE_URL=decoder, HEARTH_DECODER_PRESET="openai") as live,
    ):
        asyncio.run(ui_load.warmed(live.url))
        told = asyncio.run(ui_load.talk(live.url, sessions=5, rounds=1, tokens=20))
    assert len(told) == 5
    assert [each.wrong for each in told] == [""] * 5
