"""One person never reaches another's things, whatever their browser sends."""

import pytest

from tests.browser.conftest import home, open_page, running_ui  # noqa: F401  # fixtures
from ui.browser import jobs, person
from ui.browser.entrance import FOR_ADMINS
from ui.browser.person import Person

FOR_ADMINS_LINKS = {each for name in FOR_ADMINS for each in (name, f"pages/{name}.py")}
ANN, BOB = Person("ann", "ann", admin=False), Person("bob", "bob", admin=False)


@pytest.fixture
def exists(home):  # noqa: F811
    """Makes knowledge bases that are there, as far as their names go."""

    def exists(*names):
        for name in names:
            folder = home / "indexes" / name
            folder.mkdir(parents=True)
            (folder / "manifest.json").touch()

    return exists


@pytest.fixture
def as_bob(open_page, monkeypatch):  # noqa: F811
    """open_page for somebody whom a proxy calls bob."""
    monkeypatch.setenv("HEARTH_UI_TRUSTED_HEADER", "X-User")
    monkeypatch.setattr(person, "_header", lambda: "bob")
    return open_page


def test_a_browser_cannot_name_anothers_knowledge_base_where_one_is_chosen(as_bob, exists, monkeypatch):
    """A select box takes any text whose label is that of an option: bob names one of his own like ann's."""
    from streamlit.proto.WidgetStates_pb2 import WidgetState
    from streamlit.testing.v1.element_tree import Selectbox

    hers = f"{ANN.prefix}notes"
    exists(hers, f"{BOB.prefix}{hers}")
    monkeypatch.setenv("HEARTH_DECODER_BASE_URL", "http://127.0.0.1:9/v1")
    started = []
    monkeypatch.setattr(jobs, "start", lambda kind, title, spec, who: started.append(spec["kb"]) or _Stop())
    page = as_bob("agents")
    page.text_area(key="agents-task").set_value("Tell me all.")
    sent = Selectbox._widget_state.fget
    forged = lambda box: WidgetState(id=box.id, string_value=hers) if box.key == "agents-kb" else sent(box)  # noqa: E731
    monkeypatch.setattr(Selectbox, "_widget_state", property(forged))
    page.button(key="agents-run").click().run()
    assert hers not in started


@pytest.mark.parametrize("name", ["chat", "knowledge", "agents", "prompts"])
def test_who_is_no_admin_is_sent_to_no_page_of_admins(as_bob, name):
    """Of an empty home without a decoder, where pages lead elsewhere; a link to a page that he lacks would raise."""
    page = as_bob(name)
    assert not page.error
    assert FOR_ADMINS_LINKS.isdisjoint(each.proto.page for each in page.get("page_link"))


def test_a_session_that_goes_on_under_another_name_begins_anew(as_bob, monkeypatch):
    page = as_bob("chat")
    page.session_state["prompt-attempt"] = ("name", "number", "what bob was told")
    monkeypatch.setattr(person, "_header", lambda: "ann")
    page.run()
    assert "prompt-attempt" not in page.session_state


def test_a_header_that_comes_twice_names_nobody(monkeypatch):
    from types import SimpleNamespace

    from streamlit.runtime.context import StreamlitHeaders

    def named(*values):
        headers = StreamlitHeaders([("x-user", value) for value in values])
        monkeypatch.setattr(person.st, "context", SimpleNamespace(headers=headers))
        return person._header()

    monkeypatch.setenv("HEARTH_UI_TRUSTED_HEADER", "X-User")
    assert named(" ann ") == "ann"
    assert named("ann", "bob") == named() == ""
    assert named("x" * 200 + "ann") != named("x" * 200 + "bob")


@pytest.mark.parametrize("secrets", ["[auth]\n", "not toml ["])
def test_where_sign_in_is_set_up_nobody_gets_in_without_it(open_page, home, secrets):  # noqa: F811
    """`streamlit run ui/app.py` knows nothing of the secrets in Hearth's home."""
    (home / "secrets.toml").write_text(secrets)
    page = open_page("chat")
    assert "started without it" in page.error[0].value
    assert not page.chat_input


def test_a_proxy_s_person_cannot_read_into_anothers_knowledge_base_by_a_job(home):  # noqa: F811
    import json

    from decoder.errors import UsageError
    from ui.browser import knowledge_job
    from ui.browser.job_process import Running

    (home / "job.json").write_text(json.dumps({"person": "bob"}))
    with pytest.raises(UsageError, match="no knowledge base of this name"):
        knowledge_job.run({"kb": f"{ANN.prefix}notes", "mode": "verify"}, Running(home))


def test_secrets_that_cannot_be_read_are_no_reason_to_let_everybody_in(open_page, tmp_path_factory, monkeypatch):  # noqa: F811
    from streamlit import config

    file = tmp_path_factory.mktemp("elsewhere") / "secrets.toml"
    file.write_text("[auth\n")
    known = config.get_option
    monkeypatch.setattr(config, "get_option", lambda name: [str(file)] if name == "secrets.files" else known(name))
    page = open_page("chat")
    assert "cannot be read" in page.error[0].value
    assert not page.chat_input


def test_a_page_of_another_site_cannot_speak_with_the_app(tmp_path):
    """Nobody signs in on one's own machine, so the origin is all that keeps other sites' scripts out."""
    import asyncio

    import aiohttp

    async def connect(url, origin):
        async with aiohttp.ClientSession() as client:
            address = f"{url.replace('http', 'ws')}/_stcore/stream"
            try:
                async with client.ws_connect(address, origin=origin, protocols=("streamlit",)) as socket:
                    await socket.close()
                    return 101
            except aiohttp.WSServerHandshakeError as refusal:
                return refusal.status

    with running_ui(tmp_path) as live:
        port = live.url.rpartition(":")[2]
        assert asyncio.run(connect(live.url, live.url)) == 101
        assert asyncio.run(connect(live.url, "http://evil.example")) == 403
        assert asyncio.run(connect(live.url, f"http://rebound.evil.example:{port}")) == 403


class _Stop:
    id = "20260101-000000-abcdef"
