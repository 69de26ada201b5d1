"""Pages become documents: from a real server on loopback, which the policy allows by name."""

import gzip
import zlib
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag.errors import DamagedDocument, DocumentError, DocumentLimit, FetchFailed, FetchRefused, UnsupportedFormat
from rag.fetch import Fetcher, FetchPolicy, Validators, fetch
from rag.fetch_body import as_utf8, file_name, media_type_of
from rag.robots import Robots, asked_delay, read_rules
from rag.sitemap import SitemapLimits, parse_sitemap, sitemap_urls
from rag.types import Document
from rag.web import Crawl, Unchanged, fetch_documents, is_url, load_url, validators_of

HTML = b"<html><head><title>Bread</title></head><body><h1>Rye</h1><p>Bake for 55 minutes.</p></body></html>"


@pytest.fixture
def policy(web):
    return FetchPolicy(allow_private=web.allowed, seconds=20)


@pytest.fixture
def crawl(policy):
    return Crawl(policy, delay=0)


def urlset(*urls):
    body = "".join(f"<url><loc> {url} </loc><lastmod>2026-01-01</lastmod></url>" for url in urls)
    return f'<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{body}</urlset>'.encode()


def index(*urls):
    body = "".join(f"<s:sitemap><s:loc>{url}</s:loc></s:sitemap>" for url in urls)
    return f'<s:sitemapindex xmlns:s="http://www.sitemaps.org/schemas/sitemap/0.9">{body}</s:sitemapindex>'.encode()


def test_a_page_is_fetched_with_its_type_and_version(web, policy):
    url = web.page("/a?q=1", b"hi", Content_Type="Text/HTML; Charset=UTF-8", ETag='"v1"', Last_Modified="Tue, 24 Nov")
    found = fetch(url + "#part", policy)
    assert (found.data, found.media_type, found.charset, found.status) == (b"hi", "text/html", "utf-8", 200)
    assert (found.url, found.final_url) == (url, url)
    assert found.validators == Validators('"v1"', "Tue, 24 Nov")


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(b"hello" * 100_000, mtime=0)),
        ("deflate", zlib.compress(b"hello" * 100_000)),
        ("deflate", zlib.compress(b"hello" * 100_000, wbits=-15)),
        ("identity", b"hello" * 100_000),
    ],
)
def test_packed_pages_are_unpacked(web, policy, encoding, packed):
    url = web.page("/", packed, Content_Encoding=encoding)
    assert fetch(url, policy).data == b"hello" * 100_000


def test_redirects_are_followed_and_remembered(web, policy):
    web.page("/there", b"hi")
    web.redirect("/b", "there", "308 Permanent Redirect")
    found = fetch(web.redirect("/a", "/b", "301 Moved"), policy)
    assert (found.data, found.url, found.final_url) == (b"hi", web.base + "/a", web.base + "/there")


def test_a_missing_page_says_so(web, policy):
    with pytest.raises(FetchFailed, match="the server answered 404") as caught:
        fetch(web.base + "/none", policy)
    assert caught.value.source == web.base + "/none"


def test_nobody_listening_is_a_failure(policy):
    with pytest.raises(FetchFailed, match="no usable answer"):
        fetch("http://127.0.0.1:9/", FetchPolicy(allow_private=("127.0.0.1:9",)))


async def test_a_page_that_did_not_change_is_not_sent_again(web, policy):
    asked = []

    def answer(request):
        asked.append("If-None-Match" in request)
        head = b"304 Not Modified" if asked[-1] else b"200 OK"
        body = b"" if asked[-1] else b"hi"
        return b"HTTP/1.1 %s\r\nETag: W/x\r\nContent-Length: %d\r\n\r\n%s" % (head, len(body), body)

    url = web.raw("/", answer)
    async with Fetcher(policy) as fetcher:
        first = await fetcher.fetch(url)
        again = await fetcher.fetch(url, first.validators)
    assert (first.unchanged, again.unchanged, again.data, asked) == (False, True, b"", [False, True])


def test_a_page_becomes_a_document(web, policy):
    document = load_url(web.page("/bread", HTML, Content_Type="text/html", ETag='"1"'), policy)
    assert document.source == web.base + "/bread"
    assert (document.title, document.media_type) == ("Bread", "text/html")
    assert "Bake for 55 minutes." in document.text
    assert document.metadata["url"] == document.source
    assert document.metadata["fetched"].endswith("+00:00")
    assert validators_of(document) == Validators('"1"')


@pytest.mark.parametrize(
    ("path", "media_type", "body", "expected"),
    [
        ("/notes.md", "text/plain", b"# Head\n\nText.", "text/markdown"),
        ("/notes.md", "application/octet-stream", b"# Head\n\nText.", "text/markdown"),
        ("/get?file=1", "text/markdown; charset=utf-8", b"# Head", "text/markdown"),
        ("/page.php", "text/html", HTML, "text/html"),
        ("/page.php", "application/xhtml+xml", HTML, "text/html"),
        ("/", "", HTML, "text/html"),
        ("/a.txt", "text/plain", b"Plain.", "text/plain"),
        ("/%2e%2e%2fetc%2fpasswd", "text/plain", b"Plain.", "text/plain"),
    ],
)
def test_the_type_comes_from_the_server_or_where_it_is_vague_from_the_name(
    web, policy, path, media_type, body, expected
):
    headers = {"Content_Type": media_type} if media_type else {}
    assert load_url(web.page(path, body, **headers), policy).media_type == expected


@pytest.mark.parametrize(("path", "media_type"), [("/a.woff", "font/woff"), ("/a.bin", "video/mp4"), ("/x", "foo/bar")])
def test_other_types_are_not_read(web, policy, path, media_type):
    with pytest.raises(UnsupportedFormat):
        load_url(web.page(path, b"\x89PNG", Content_Type=media_type), policy)


@pytest.mark.parametrize("media_type", ["text/html", "text/plain"])
def test_the_servers_charset_counts(web, policy, media_type):
    body = "<p>Żółw łąkowy</p>".encode("iso-8859-2")
    document = load_url(web.page("/", body, Content_Type=f'{media_type}; charset="ISO-8859-2"'), policy)
    assert "Żółw łąkowy" in document.text


def test_documents_come_in_order_each_once_and_errors_stay_with_their_page(web, crawl):
    pages = [web.page(f"/{i}", b"Page %d." % i, Content_Type="text/plain") for i in range(6)]
    found = list(fetch_documents([*pages[:3], "http://localhost/", web.base + "/none", *pages], crawl))
    assert [each.source for each in found if isinstance(each, Document)] == pages
    refused, failed = [each for each in found if isinstance(each, DocumentError)]
    assert isinstance(refused, FetchRefused)
    assert (type(failed), failed.source) == (FetchFailed, web.base + "/none")
    assert found.index(refused) == 3


def test_leaving_early_leaves_the_rest_alone(web, crawl):
    pages = [web.page(f"/{i}", b"x", Content_Type="text/plain") for i in range(50)]
    found = fetch_documents(pages, crawl)
    assert next(found).text == "x"
    found.close()
    assert len(web.requests) < 20


def test_an_unchanged_page_is_reported_as_such_on_the_next_run(web, crawl):
    def answer(request):
        if 'If-None-Match: "7"' in request:
            return b"HTTP/1.1 304 Not Modified\r\nContent-Length: 0\r\n\r\n"
        return b'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nETag: "7"\r\nContent-Length: 2\r\n\r\nhi'

    url = web.raw("/", answer)
    (document,) = fetch_documents([url], crawl)
    assert list(fetch_documents([url], crawl, known={url: validators_of(document)})) == [Unchanged(url)]


patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A machine that does other things as well is no failure."""
ROBOTS = b"User-agent: *\nDisallow: /private\nCrawl-delay: 2\n\nUser-agent: other\nDisallow: /\n"


def test_robots_txt_is_asked_once_and_obeyed(web, policy):
    web.page("/robots.txt", ROBOTS.replace(b"Crawl-delay: 2\n", b""))
    urls = [web.page(path, b"x", Content_Type="text/plain") for path in ("/a", "/private/b", "/c")]
    found = list(fetch_documents(urls, Crawl(policy, delay=0)))
    assert [isinstance(each, Document) for each in found] == [True, False, True]
    assert "robots.txt" in str(found[1])
    assert found[1].source == urls[1]
    assert web.paths().count("/robots.txt") == 1
    assert "/private/b" not in web.paths()
    assert isinstance(next(fetch_documents([urls[1]], Crawl(policy, robots=False, delay=0))), Document)


def test_a_redirect_to_a_page_that_robots_may_not_see_is_not_read(web, crawl):
    web.page("/robots.txt", ROBOTS.replace(b"Crawl-delay: 2\n", b""))
    web.page("/private/b", b"x", Content_Type="text/plain")
    (found,) = fetch_documents([web.redirect("/a", "/private/b")], crawl)
    assert isinstance(found, FetchRefused)


@pytest.mark.parametrize(("status", "allowed"), [("404 Not Found", True), ("403 No", True), ("503 Busy", False)])
def test_a_site_without_robots_txt_is_open_and_one_that_cannot_say_is_not(web, crawl, status, allowed):
    web.page("/robots.txt", b"", status)
    (found,) = fetch_documents([web.page("/a", b"x", Content_Type="text/plain")], crawl)
    assert isinstance(found, Document) is allowed


async def test_the_sites_own_delay_is_known(web, policy):
    web.page("/robots.txt", ROBOTS + b"Sitemap: http://example.com/sitemap.xml\n")
    async with Fetcher(policy) as fetcher:
        robots = Robots(fetcher)
        target = fetcher.check(web.base + "/a")
        assert await robots.delay(target) == 2.0
        assert await robots.sitemaps(target) == ["http://example.com/sitemap.xml"]


def test_a_sitemap_lists_its_pages(web, policy):
    url = web.page("/sitemap.xml", urlset(f"{web.base}/a?x=1&amp;y=2", f"{web.base}/b", f"{web.base}/b"))
    assert sitemap_urls(url, policy) == (f"{web.base}/a?x=1&y=2", f"{web.base}/b")


def test_pages_elsewhere_and_addresses_that_may_not_be_fetched_are_left_out(web, policy):
    others = ["http://example.com/x", "http://localhost/", "file:///etc/passwd", "http://169.254.169.254/", "junk", ""]
    url = web.page("/sitemap.xml", urlset(*others, f"{web.base}/a"))
    assert sitemap_urls(url, policy) == (f"{web.base}/a",)
    everywhere = SitemapLimits(same_site=False)
    assert sitemap_urls(url, policy, everywhere) == ("http://example.com/x", f"{web.base}/a")


def test_an_index_is_followed_and_a_damaged_part_of_it_skipped(web, policy):
    web.page("/1.xml", urlset(f"{web.base}/a"))
    web.page("/2.xml.gz", gzip.compress(urlset(f"{web.base}/b")))
    web.page("/3.txt", f"\ufeff{web.base}/c\r\n\r\n{web.base}/d\n".encode())
    web.page("/4.xml", b"<urlset><url>")
    url = web.page(
        "/sitemap.xml", index(*(f"{web.base}/{name}" for name in ("1.xml", "none", "4.xml", "2.xml.gz", "3.txt")))
    )
    assert sitemap_urls(url, policy) == tuple(f"{web.base}/{page}" for page in "abcd")


def test_a_sitemap_that_holds_itself_ends(web, policy):
    url = web.page("/sitemap.xml", index(f"{web.base}/sitemap.xml", f"{web.base}/2.xml"))
    web.page("/2.xml", index(f"{web.base}/3.xml"))
    web.page("/3.xml", index(f"{web.base}/4.xml"))
    web.page("/4.xml", urlset(f"{web.base}/a"))
    assert sitemap_urls(url, policy) == ()
    assert web.paths() == ["/sitemap.xml", "/2.xml", "/3.xml"]
    assert sitemap_urls(url, policy, SitemapLimits(depth=3)) == (f"{web.base}/a",)


def test_the_number_of_pages_is_bounded(web, policy):
    url = web.page("/sitemap.xml", urlset(*(f"{web.base}/{i}" for i in range(100))))
    assert len(sitemap_urls(url, policy, SitemapLimits(pages=7))) == 7


def test_a_sitemap_is_fetched_and_its_pages_read(web, crawl):
    pages = [web.page(f"/{i}", b"Page %d." % i, Content_Type="text/plain") for i in range(3)]
    url = web.page("/sitemap.xml", urlset(*pages))
    found = list(fetch_documents([url, web.base + "/none.xml"], crawl, sitemap=True))
    assert [type(each) for each in found] == [Document] * 3 + [FetchFailed]


LAUGHS = b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><urlset><url><loc>&b;</loc></url></urlset>'


@pytest.mark.parametrize(
    "data",
    [
        LAUGHS,
        b"<html></html>",
        b"<urlset>",
        b"<urlset><url><loc>x</urlset>",
        b"",
        b"\xff\xfe\x00",
        b"just words",
        b"<urlset>" + b"<a>" * 100,
        b'<?xml version="1.0" encoding="nonsense"?><urlset/>',
        b"<urlset>&undefined;</urlset>",
    ],
)
def test_what_is_no_sitemap_is_said_to_be_damaged(data):
    with pytest.raises(DamagedDocument):
        parse_sitemap(data)


def test_a_sitemap_bomb_is_stopped(web, policy):
    url = web.page("/sitemap.xml.gz", gzip.compress(b"<urlset>" + bytes(60 << 20)))
    with pytest.raises(DocumentLimit):
        sitemap_urls(url, policy)


robots_lines = st.lists(
    st.builds(
        "{}: {}".format,
        st.sampled_from(["User-agent", "Disallow", "Allow", "Crawl-delay", "Request-rate", "Sitemap", "x"]),
        st.text(max_size=12)
        | st.sampled_from(["*", "hearth", "/", "²", "1/²", "9" * 5000, "9" * 400, "http://[", "%"]),
    ),
    max_size=8,
).map("\n".join)


@patient
@given(robots_lines.map(lambda text: text.encode("utf-8", "replace")) | st.binary(max_size=200))
def test_any_robots_txt_is_read(data):
    rules = read_rules(data)
    assert rules.can_fetch("hearth", "https://example.com/a") in (True, False)
    assert 0 <= asked_delay(rules, "hearth") <= 30


@pytest.mark.parametrize("line", ["Crawl-delay: ²", "Disallow: http://["])
def test_a_robots_txt_that_cannot_be_read_allows_nothing(line):
    assert not read_rules(f"User-agent: *\n{line}\n".encode()).can_fetch("hearth", "https://example.com/a")


@patient
@given(st.text(max_size=60), st.binary(max_size=60), st.text(max_size=30))
def test_any_header_says_how_a_page_is_read_or_that_it_is_not(header, data, path):
    kind, charset = media_type_of(header)
    assert isinstance(as_utf8(data, charset, "text/html"), bytes)
    try:
        assert file_name("https://example.com/" + quote(path), kind, "loading")
    except UnsupportedFormat:
        return


@pytest.mark.parametrize("charset", ["punycode", "idna", "unicode_escape", "utf-7", "rot13", "zlib", "hex", "utf-8"])
def test_encodings_that_no_page_is_in_are_not_used(charset):
    assert as_utf8(b"a\xe4", charset, "text/html") == b"a\xe4"


@patient
@given(st.binary(max_size=300) | st.text(alphabet="<>/&;urlsetocmapindx \n", max_size=200).map(str.encode))
def test_any_bytes_are_a_sitemap_or_a_typed_error(data):
    try:
        parse_sitemap(data)
    except DocumentError:
        return


def test_what_is_an_address_and_what_a_path():
    assert is_url("HTTPS://example.com")
    assert is_url("http://x")
    assert not is_url("http:/x")
    assert not is_url("notes/http.md")
