"""Web pages in a knowledge base: fetched from a real server on this machine, asked for again only when they changed."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rag import KnowledgeBase
from rag.fetch import FetchPolicy
from rag.labels import Labels
from rag.web import Crawl

PAGES = {
    "/roses": "<title>Roses</title><p>Roses grow beside the wall.</p>",
    "/ships": "<title>Ships</title><p>Sailing ships need wind.</p>",
}


@pytest.fixture
def site():
    """A server, its pages, and how often each was sent whole."""
    pages, sent = dict(PAGES), []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            tag = f'"{hash(pages.get(self.path))}"'
            if self.path == "/sitemap.xml":
                urls = "".join(f"<url><loc>{base}{path}</loc></url>" for path in pages)
                body, kind = f"<urlset>{urls}</urlset>", "application/xml"
            elif self.path not in pages:
                self.send_error(404)
                return
            elif self.headers.get("If-None-Match") == tag:
                self.send_response(304)
                self.end_headers()
                return
            else:
                body, kind = pages[self.path], "text/html; charset=utf-8"
                sent.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", tag)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    base = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield base, pages, sent
    server.shutdown()
    thread.join(10)
    server.server_close()


@pytest.fixture
def crawl(site):
    port = int(site[0].rpartition(":")[2])
    return Crawl(FetchPolicy(ports=(port,), allow_private=("127.0.0.1",)), delay=0)


def test_pages_are_found_and_asked_for_again_only_when_they_changed(tmp_path, embedder, site, crawl):
    base, pages, sent = site
    kb = KnowledgeBase("kb", home=tmp_path, embedder=embedder)
    report = kb.add_urls([f"{base}/sitemap.xml"], sitemap=True, crawl=crawl, labels=Labels(metadata={"team": "garden"}))
    assert report.added == (f"{base}/roses", f"{base}/ships")
    [hit] = kb.search("where do roses grow", limit=1)
    assert (hit.passage.source, hit.passage.title) == (f"{base}/roses", "Roses")
    assert (hit.passage.metadata["url"], hit.passage.metadata["team"]) == (f"{base}/roses", "garden")
    sent.clear()
    pages["/ships"] = "<title>Ships</title><p>Engines drive ships.</p>"
    report = kb.add_urls([f"{base}/sitemap.xml"], sitemap=True, crawl=crawl)
    assert (report.updated, report.unchanged, sent) == ((f"{base}/ships",), 1, ["/ships"])


def test_a_page_that_has_gone_is_a_failure_and_what_was_known_stays(tmp_path, embedder, site, crawl):
    base, pages, _ = site
    kb = KnowledgeBase("kb", home=tmp_path, embedder=embedder)
    urls = [f"{base}/roses", f"{base}/ships"]
    kb.add_urls(urls, crawl=crawl)
    del pages["/ships"]
    report = kb.add_urls(urls, crawl=crawl)
    assert (list(report.failed), report.unchanged) == ([f"{base}/ships"], 1)
    assert set(kb.documents()) == set(urls)


def test_private_addresses_are_refused_unless_allowed(tmp_path, embedder, site):
    base, _, sent = site
    kb = KnowledgeBase("kb", home=tmp_path, embedder=embedder)
    report = kb.add_urls([f"{base}/roses"])
    assert len(report.failed) == 1
    assert sent == []
    assert kb.documents() == {}
