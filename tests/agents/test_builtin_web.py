"""Fetching for the decoder, from a real server on loopback that the test's policy allows by name."""

import pytest

from agents.builtin import web_fetch
from agents.builtin.web import window
from agents.exported import use
from rag.errors import DocumentError, FetchRefused
from rag.fetch import FetchPolicy

HTML = b"<html><head><title>Bread</title></head><body><h1>Rye</h1><p>Bake for 55 minutes.</p></body></html>"


def port_of(web):
    return int(web.base.rpartition(":")[2])


@pytest.fixture
def made(web):
    return web_fetch(FetchPolicy(allow_private=web.allowed, seconds=20))


async def test_a_page_is_read_as_text(web, made):
    url = web.page("/bread", HTML, Content_Type="text/html")
    found = await use(made, {"url": url})
    assert found.startswith(f"{url}\n\n")
    assert "Bake for 55 minutes." in found
    assert "<p>" not in found


async def test_a_long_page_is_read_in_parts(web, made):
    url = web.page("/long", " ".join(f"word{n}" for n in range(3000)).encode(), Content_Type="text/plain")
    first = await use(made, {"url": url})
    assert "go on with start=6000" in first
    assert "word2999" in await use(made, {"url": url, "start": 20_000})


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost:80/",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://[::1]/",
        "http://0x7f000001/",
        "file:///etc/passwd",
        "ftp://example.org/",
        "gopher://example.org/",
        "http://user:password@example.org/",
        "http://example.org:22/",
        "not an address",
    ],
)
async def test_private_addresses_and_other_schemes_are_refused(url):
    with pytest.raises(DocumentError):
        await use(web_fetch(), {"url": url})


async def test_redirects_are_judged_too(web, made):
    url = web.redirect("/away", "http://169.254.169.254/latest/")
    with pytest.raises(FetchRefused):
        await use(made, {"url": url})


async def test_only_listed_hosts_are_asked_redirects_included(web):
    policy = FetchPolicy(allow_private=(*web.allowed, f"localhost:{port_of(web)}"), seconds=20)
    url = web.page("/a", b"fine", Content_Type="text/plain")
    other = url.replace("127.0.0.1", "localhost")
    listed = web_fetch(policy, hosts=["127.0.0.1"])
    assert "fine" in await use(listed, {"url": url})
    before = len(web.requests)
    with pytest.raises(FetchRefused, match="not on the list"):
        await use(listed, {"url": other})
    assert len(web.requests) == before
    with pytest.raises(FetchRefused, match="not on the list"):
        await use(listed, {"url": web.redirect("/b", other)})
    with pytest.raises(FetchRefused, match="not on the list"):
        await use(web_fetch(hosts=["example.org"]), {"url": "https://example.org.evil.net/"})


def test_an_address_can_carry_words_away():
    assert (web_fetch().effect, web_fetch().trusted) == ("egress", False)


def test_windows():
    assert window("abcdef", 0, 4) == "abcd\n[2 more characters: go on with start=4]"
    assert window("abcdef", 4, 4) == "ef"
    assert window("abc", 9, 4) == "[The text ends at character 3.]"
    assert window("", 0, 4) == ""
