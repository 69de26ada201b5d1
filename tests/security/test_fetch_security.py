"""The fetcher against those who would send it where it must not go, or keep it there."""

import asyncio
import gzip
import ipaddress
import re
import sys
import zlib

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import rag.fetch
from rag.errors import DocumentError, DocumentLimit, FetchFailed, FetchRefused
from rag.fetch import Fetcher, FetchPolicy, fetch
from rag.fetch_addresses import Target, check_address, check_url

SOCKET_EVENTS = ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.gethostbyname")
_recorded = None


def _hook(event, arguments):
    if _recorded is not None and event in SOCKET_EVENTS:
        _recorded.append((event, arguments[-1] if event == "socket.connect" else arguments[0]))


sys.addaudithook(_hook)


@pytest.fixture
def network():
    """What the interpreter itself saw of connections and look-ups, in every thread, while a test ran."""
    global _recorded
    _recorded = []
    yield _recorded
    _recorded = None


FORBIDDEN = """
http://127.0.0.1/ http://127.1/ http://127.0.1/ http://2130706433/ http://017700000001/ http://0x7f000001/
http://0x7f.0.0.1/ http://0177.0.0.1/ http://0x7f.1/ http://127.0.0.1./ http://127.0.0.01/ http://0/ http://0.0.0.0/
http://localhost/ http://LOCALHOST/ http://localhost./ http://a.localhost/ http://localhost.localdomain/
http://printer.local/ http://db.internal/ http://metadata.google.internal/computeMetadata/v1/ http://nas.home.arpa/
http://10.0.0.1/ http://10.255.255.255/ http://172.16.0.1/ http://172.31.255.254/ http://192.168.1.1/
http://169.254.169.254/latest/meta-data/ http://169.254.170.2/ http://2852039166/ http://0xa9fea9fe/
http://0251.0376.0251.0376/ http://169.254.43518/ http://100.64.0.1/ http://100.100.100.200/ http://168.63.129.16/
http://192.0.0.192/ http://192.0.0.1/ http://192.0.2.1/ http://198.51.100.1/ http://203.0.113.9/ http://198.18.0.1/
http://192.88.99.1/ http://224.0.0.1/ http://239.255.255.250/ http://240.0.0.1/ http://255.255.255.255/
http://[::]/ http://[::1]/ http://[0:0:0:0:0:0:0:1]/ http://[::ffff:127.0.0.1]/ http://[::ffff:7f00:1]/
http://[::127.0.0.1]/ http://[::ffff:0:127.0.0.1]/ http://[::ffff:8.8.8.8]/ http://[fe80::1]/ http://[fe80::1%25eth0]/
http://[fe80::1%eth0]/ http://[fec0::1]/ http://[fc00::1]/ http://[fd00:ec2::254]/ http://[ff02::1]/ http://[100::1]/
http://[2001:db8::1]/ http://[3fff::1]/ http://[2002:7f00:1::]/ http://[2002:a9fe:a9fe::1]/ http://[2001::1]/
http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/ http://[64:ff9b::7f00:1]/ http://[64:ff9b::8.8.8.8]/
http://[64:ff9b:1::1]/ http://[2606:4700::5efe:10.0.0.1]/ http://[2606:4700::200:5efe:a00:1]/ http://[5f00::1]/
http://１２７.０.０.１/ http://①②⑦.⓪.⓪.①/ http://127。0。0。1/ http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/ http://127%2e0%2e0%2e1/
http://%31%32%37.0.0.1/ http://%6c%6f%63%61%6c%68%6f%73%74/ http://[127.0.0.1]/ http://[::1/ http://::1/ http://[::1]x/
http://user@example.com/ http://user:pw@example.com/ http://example.com@127.0.0.1/ http://example.com:80@127.0.0.1/
http://127.0.0.1#@example.com/ http://127.0.0.1?@example.com/ http://example.com\\@127.0.0.1/ http://127.0.0.1\\.example.com/
http://example.com:22/ http://example.com:6379/ http://example.com:0/ http://example.com:65536/ http://example.com:٨٠/
http:// http:/// http:///etc/passwd http:/127.0.0.1/ http:127.0.0.1 //127.0.0.1/ 127.0.0.1 http://./ http://../
http://a..b/ http://-a.example/ http://example.com:80:80/ http://exam_ple.c_m/ http://example.com:+80/
file:///etc/passwd file://localhost/etc/passwd gopher://127.0.0.1:6379/_FLUSHALL data:text/html,hi jar:http://a!/b
ftp://example.com/ dict://127.0.0.1:11211/ ldap://127.0.0.1/ sftp://a/ tftp://a/ ws://example.com/ javascript:alert(1)
view-source:http://127.0.0.1/ netdoc:///etc/passwd unix:///var/run/docker.sock http+unix://%2Fvar%2Frun%2Fx/
""".split()  # noqa: SIM905  # a list of so many would be unreadable
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
SPACED = ["", " http://example.com/", "http://example.com/ x", "http://example.com/\r\nHost: evil", "http://a\tb/"]
SPACED += ["http://example.com/%00\x00", "http://exa mple.com/", "\nhttp://example.com/", "http://example.com/\u2028"]
SPACED += ["http://example.com/" + "a" * 5000, "http://" + "a" * 300 + ".com/", "http://\ud800.com/", "http://a\x7f/"]


def test_there_are_enough_of_them():
    assert len(set(FORBIDDEN)) >= 60


@pytest.mark.parametrize("url", FORBIDDEN + SPACED)
def test_a_forbidden_address_is_refused_before_anything_is_looked_up_or_connected(url, network):
    with pytest.raises(FetchRefused) as caught:
        fetch(url)
    assert caught.value.cause
    assert str(caught.value).isprintable()
    assert network == []


def test_the_record_does_see_connections(web, network):
    fetch(web.page("/", b"hi"), FetchPolicy(allow_private=web.allowed))
    assert ("socket.connect", ("127.0.0.1", web.port)) in network


INSIDE = ["127.0.0.1", "10.1.2.3", "169.254.169.254", "168.63.129.16", "100.64.0.9", "::1", "fd00::1", "fe80::1"]
INSIDE += ["::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "0.0.0.0", "224.0.0.1", "2001:db8::1"]


@pytest.mark.parametrize("address", INSIDE)
@pytest.mark.parametrize("beside", [[], ["93.184.216.34"]])
async def test_a_name_that_leads_inside_is_refused_before_any_socket(address, beside, network):
    async def resolve(host, port):
        return [*beside, address]

    async with Fetcher(resolve=resolve) as fetcher:
        with pytest.raises(FetchRefused, match=r"no public address|credentials") as caught:
            await fetcher.fetch("http://innocent.example/page")
    assert caught.value.source == "http://innocent.example/page"
    assert network == []


class Sockets:
    """The module `socket`, whose sockets cannot be made; it counts the attempts."""

    made = 0

    def __getattr__(self, name):
        import socket

        return getattr(socket, name)

    def socket(self, *_):
        self.made += 1
        raise OSError("no sockets in this test")


async def test_rebinding_the_second_answer_is_never_asked_for(monkeypatch):
    answers, sockets = [["93.184.216.34"], ["127.0.0.1"]], Sockets()
    monkeypatch.setattr(rag.fetch, "socket", sockets)

    async def resolve(host, port):
        return answers.pop(0)

    async with Fetcher(resolve=resolve) as fetcher:
        with pytest.raises(FetchFailed, match="Cannot connect to host rebind"):
            await fetcher.fetch("http://rebind.example/")
        assert (len(answers), sockets.made) == (1, 1)
        with pytest.raises(FetchRefused, match=r"127\.0\.0\.1"):
            await fetcher.fetch("http://rebind.example/")
        assert sockets.made == 1


async def test_rebinding_between_two_hops_is_seen(web):
    answers = [["127.0.0.1"], ["169.254.169.254"]]
    web.redirect("/", "/next")

    async def resolve(host, port):
        return answers.pop(0)

    async with Fetcher(FetchPolicy(allow_private=(f"docs.example:{web.port}",)), resolve=resolve) as fetcher:
        with pytest.raises(FetchRefused, match="credentials"):
            await fetcher.fetch(f"http://docs.example:{web.port}/")
    assert web.paths() == ["/"]


async def test_the_socket_itself_is_the_last_gate(web, monkeypatch, network):
    target = Target(web.base + "/", "http", "127.0.0.1", web.port)
    monkeypatch.setattr(Fetcher, "check", lambda self, url: target)
    async with Fetcher() as fetcher:
        with pytest.raises(FetchRefused, match="no public address"):
            await fetcher.fetch("http://whatever.example/")
    assert [event for event in network if event[0] == "socket.connect"] == []


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:1/",
        "http://169.254.169.254/latest/meta-data/",
        "//[::1]/",
        "http://localhost/",
        "http://0x7f000001/",
        "https://user:pw@example.com/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_x",
        "data:text/plain,hi",
        "javascript:alert(1)",
        "http://[::1",
        "http://[v1.x]/",
        "http://example.com:22/",
    ],
)
def test_a_redirect_is_judged_like_the_first_address(web, location, network):
    url = web.redirect("/", location)
    with pytest.raises(FetchRefused):
        fetch(url, FetchPolicy(allow_private=web.allowed))
    assert {argument for event, argument in network if event == "socket.connect"} == {("127.0.0.1", web.port)}
    assert web.paths() == ["/"]


def test_redirects_end(web):
    url = web.redirect("/", "/")
    with pytest.raises(FetchFailed, match="more than 5 times"):
        fetch(url, FetchPolicy(allow_private=web.allowed))
    assert len(web.requests) == 6


def test_what_was_allowed_by_name_is_allowed_for_that_name_and_port_alone(web):
    with pytest.raises(FetchRefused):
        fetch(web.page("/", b"hi"), FetchPolicy(allow_private=("127.0.0.1:1", "10.0.0.1")))
    with pytest.raises(FetchRefused, match="port"):
        fetch(web.base, FetchPolicy(allow_private=("127.0.0.1",)))
    for address in ("169.254.169.254", "fe80::1", "0.0.0.0", "224.0.0.1", "168.63.129.16", "::ffff:127.0.0.1"):
        with pytest.raises(FetchRefused):
            check_address(ipaddress.ip_address(address), "x", private=True)
    assert web.requests == []


async def test_no_cookies_credentials_or_proxies(web, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine docs.example login me password secret\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    web.pages["/"] = b"HTTP/1.1 302 Found\r\nSet-Cookie: a=b; Path=/\r\nLocation: /next\r\nContent-Length: 0\r\n\r\n"
    web.page("/next", b"hi")

    async def resolve(host, port):
        return ["127.0.0.1"]

    site = f"docs.example:{web.port}"  # a name, since cookies are never kept for addresses
    async with Fetcher(FetchPolicy(allow_private=(site,)), resolve=resolve) as fetcher:
        assert (await fetcher.fetch(f"http://{site}/")).data == b"hi"
    assert len(web.requests) == 2
    assert not re.search(r"^(cookie|authorization|proxy-|referer)", "\n".join(web.requests), re.I | re.M)


def test_line_ends_in_an_address_never_reach_the_wire(web):
    web.page("/a%0d%0aX-Injected:%201", b"hi")
    web.redirect("/", "/a%0d%0aX-Injected:%201")
    assert fetch(web.base, FetchPolicy(allow_private=web.allowed)).data == b"hi"
    assert web.paths()[-1] == "/a%0d%0aX-Injected:%201"
    assert not any(re.search("^X-Injected", request, re.M) for request in web.requests)


async def endless(writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


async def drip_headers(writer):
    writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def drip_body(writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def silent(writer):
    await asyncio.sleep(60)


async def many_headers(writer):
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-Header: 1\r\n" * 100)
        await writer.drain()


def packed(body, encoding):
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


OK = b"HTTP/1.1 200 OK\r\n"
BOMB = gzip.compress(bytes(64 << 20), mtime=0)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (endless, DocumentLimit),
        (drip_headers, DocumentLimit),
        (drip_body, DocumentLimit),
        (silent, FetchFailed),
        (many_headers, FetchFailed),
        (OK + b"X-Huge: " + b"x" * 100_000 + b"\r\n\r\nhi", FetchFailed),
        (OK + b"Content-Length: 10\r\n\r\nshort", FetchFailed),
        (OK + b"Content-Length: 99999999999999999999\r\n\r\nshort", FetchFailed),
        (OK + b"Content-Length: -1\r\n\r\nhi", FetchFailed),
        (OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi", FetchFailed),
        (OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", FetchFailed),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nhi", FetchFailed),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhi\r\n0\r\n\r\n", FetchFailed),
        (b"HTTP/1.1 abc OK\r\n\r\n", FetchFailed),
        (b"\x00\xff\xfenot http at all\r\n\r\n", FetchFailed),
        (b"", FetchFailed),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", FetchFailed),
        (packed(BOMB, "gzip"), DocumentLimit),
        (packed(zlib.compress(bytes(64 << 20)), "deflate"), DocumentLimit),
        (packed(gzip.compress(b"hello", mtime=0)[:-6], "gzip"), FetchFailed),
        (packed(b"nonsense", "gzip"), FetchFailed),
        (packed(b"hi", "br"), FetchFailed),
        (packed(gzip.compress(BOMB, mtime=0), "gzip, gzip"), FetchFailed),
        (OK + b"Content-Length: 4000000000\r\n\r\n" + b"x" * 200_000, DocumentLimit),
    ],
    ids=lambda each: getattr(each, "__name__", str(each)[:40]),
)
def test_hostile_answers_cost_no_more_than_the_policy_allows(web, answer, error):
    policy = FetchPolicy(allow_private=web.allowed, size=100_000, seconds=1.5, read_seconds=0.5)
    with pytest.raises(error):
        fetch(web.raw("/", answer), policy)


@patient
@given(st.text(max_size=80) | st.builds("http://{}/{}".format, st.text(max_size=40), st.text(max_size=20)))
@example("http://xn--/")
@example("http://\u0130.com/")
@example("http://1.1.1.1\u2024/")
def test_any_text_is_judged_or_refused(url):
    try:
        target = check_url(url)
    except FetchRefused as error:
        assert isinstance(error, DocumentError)
        return
    assert target.url.isascii()
    assert target.url.startswith(("http://", "https://"))
    assert check_url(target.url) == target
    assert target.address is None or target.address.is_global


v4 = st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address)
v6 = st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address)
embedded = st.tuples(st.sampled_from([0xFFFF << 32, 0, 0x64FF9B << 96, 0x2002 << 112]), v4).map(
    lambda pair: ipaddress.IPv6Address(pair[0] | int(pair[1]))
)
notations = st.one_of(
    st.integers(0, 2**32 - 1).map(str),
    st.integers(0, 2**32 - 1).map(hex),
    st.integers(0, 2**32 - 1).map(lambda n: f"0{n:o}"),
    st.lists(st.sampled_from(["0", "127", "0x7f", "0177", "1", "010", "256", "0x", "00"]), min_size=1, max_size=5).map(
        ".".join
    ),
    v4.map(str),
    (v6 | embedded).map(lambda address: f"[{address}]"),
    (v6 | embedded).map(lambda address: f"[{address.exploded}]"),
)


@patient
@given(notations, st.sampled_from(["", ".", ":80", ".:443"]))
def test_no_notation_of_an_address_that_is_not_global_is_accepted(host, end):
    try:
        target = check_url(f"http://{host}{end}/")
    except FetchRefused:
        return
    assert target.address is not None
    assert target.address.is_global
    assert not target.address.is_multicast
    assert str(target.address) == target.host


@patient
@given(v4 | v6 | embedded)
def test_an_address_that_is_accepted_is_global(address):
    try:
        check_address(address, "x")
    except FetchRefused:
        return
    assert address.is_global
    assert not (address.is_private or address.is_multicast or address.is_reserved or address.is_link_local)
