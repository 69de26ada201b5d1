"""Who sees what: nobody signs in, people sign in by OpenID Connect, or a trusted proxy says who they are."""

import asyncio
import stat

import aiohttp
import pytest

from decoder.errors import UsageError
from tests.browser.conftest import free_port, running_ui
from tests.browser.oidc_provider import Provider
from ui.browser.person import Person, _is_admin
from ui.cli.ui import command, secrets_file

SECRETS = """
[auth]
redirect_uri = "http://127.0.0.1:{port}/oauth2callback"
cookie_secret = "a-secret-of-this-test-alone-0123456789"
client_id = "{provider.client_id}"
client_secret = "{provider.client_secret}"
server_metadata_url = "{provider.url}/.well-known/openid-configuration"
"""


def test_without_sign_in_there_is_one_person_who_sees_all():
    nobody = Person()
    assert nobody.admin
    assert nobody.own(["default", "u0123456789-notes"]) == ["default", "u0123456789-notes"]


def test_people_see_their_own_knowledge_bases_by_the_names_that_they_gave():
    ann, bob = Person("iss|ann", "Ann"), Person("iss|bob", "Bob")
    names = ["default", f"{ann.prefix}notes", f"{bob.prefix}notes"]
    assert ann.own(names) == [f"{ann.prefix}notes"]
    assert ann.shown(f"{ann.prefix}notes") == "notes"


@pytest.mark.parametrize(
    ("admins", "names", "admin"),
    [
        ("", ("iss|ann",), False),
        ("iss|ann", ("iss|ann", ""), True),
        ("ann@x.org, iss|bob", ("iss|bob",), True),
        ("ann@x.org", ("iss|bob", ""), False),
    ],
)
def test_where_people_sign_in_admins_are_those_that_the_settings_name(monkeypatch, admins, names, admin):
    monkeypatch.setenv("HEARTH_UI_ADMINS", admins)
    assert _is_admin(*names) is admin


def test_secrets_that_others_may_read_are_refused(home):
    file = home / "secrets.toml"
    assert secrets_file() is None
    file.write_text("[auth]\n")
    file.chmod(0o644)
    with pytest.raises(UsageError, match="chmod 600"):
        secrets_file()
    file.chmod(stat.S_IRUSR | stat.S_IWUSR)
    assert f"--secrets.files={file}" in " ".join(command("127.0.0.1", 1, False, 5)).replace("files ", "files=")


def test_a_trusted_proxy_names_the_person_and_without_it_nobody_gets_in(tmp_path):
    with running_ui(tmp_path, HEARTH_UI_TRUSTED_HEADER="X-Forwarded-User") as live:
        assert "Signed in as ann" in asyncio.run(texts_shown(live.url, {"X-Forwarded-User": "ann"}))
        assert "The proxy in front of this page does not say who you are." in asyncio.run(texts_shown(live.url, {}))


@pytest.mark.browser
def test_people_sign_in_by_openid_connect_and_out_again(tmp_path, chromium):
    port = free_port()
    with Provider() as provider:
        file = tmp_path / "secrets.toml"
        file.touch(mode=0o600)
        file.write_text(SECRETS.format(port=port, provider=provider))
        with running_ui(tmp_path, port, HEARTH_UI_ADMINS="ann@example.org,nobody") as live:
            for user, name in (("ann", "Ann"), ("bob", "Bob")):
                context = chromium.new_context()
                context.set_default_timeout(20_000)
                page = context.new_page()
                page.goto(live.url)
                page.get_by_role("button", name="Sign in").click()
                page.get_by_role("link", name=user).click()
                page.get_by_text(f"Signed in as {name}").wait_for()
                # The provider did not verify the addresses, so that being named by one makes nobody an admin.
                assert page.get_by_role("link", name="Health").count() == 0
                page.get_by_role("button", name="Sign out").click()
                page.get_by_role("button", name="Sign in").wait_for()
                context.close()


async def texts_shown(url, headers):
    """What a session of these headers is shown first, by Streamlit's own protocol."""
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

    found = []
    async with aiohttp.ClientSession() as client:
        address = f"{url.replace('http', 'ws')}/_stcore/stream"
        async with client.ws_connect(address, headers=headers, protocols=("streamlit",)) as socket, asyncio.timeout(30):
            asked = BackMsg()
            asked.rerun_script.query_string = ""
            await socket.send_bytes(asked.SerializeToString())
            async for message in socket:
                told = ForwardMsg.FromString(message.data)
                found.append(str(told.delta.new_element))
                ended = told.WhichOneof("type") == "script_finished"
                if ended and told.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                    return "\n".join(found).replace("\\\\", "")
    raise AssertionError("the app closed the connection")
