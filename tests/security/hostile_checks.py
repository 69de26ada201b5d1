"""What must never be found in a page, whatever its texts say."""

from urllib.parse import urlsplit

FOUND = """() => {
    const all = (chosen) => [...document.querySelectorAll(chosen)];
    const short = (node) => node.outerHTML.slice(0, 200);
    const inApp = (names) => names.map((name) => ".stApp " + name).join(",");
    return {
        ran: window.pwned === undefined ? [] : ["script"],
        nodes: all(inApp(["script", "iframe", "object", "embed", "form", "base", "meta", "link", "style", "video",
            "audio", "math", "marquee", "foreignObject", ".katex", ".mermaid", "[srcdoc]", "[srcset]", "[ping]",
            ".stMarkdownColoredText", ".stMarkdownColoredBackground", ".stMarkdownBadge",
            ".stMarkdownShimmer"])).map(short),
        handlers: all("*").filter((node) => [...node.attributes].some((each) => each.name.startsWith("on"))).map(short),
        links: all(".stApp [href], .stApp [action], .stApp [formaction]").map((node) => node.href || node.action),
        pictures: all(".stApp img, .stApp image, .stApp source").map((node) => node.src || short(node)),
    };
}"""


def assert_harmless(page, own):
    """Nothing runs, nothing is embedded, links lead to http, https and mailto, pictures come from `own` alone."""
    found = page.evaluate(FOUND)
    assert not found["ran"]
    assert not found["nodes"]
    assert not found["handlers"]
    assert {urlsplit(link).scheme for link in found["links"]} <= {"http", "https", "mailto"}
    assert all(picture.startswith((f"{own}/", "data:image/")) for picture in found["pictures"]), found["pictures"]


class Canary:
    """A place that nobody has reason to ask for anything; `asked` says who did."""

    def __enter__(self):
        import http.server
        import threading

        asked = self.asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                self.send_error(404)

            do_POST = do_HEAD = do_OPTIONS = do_GET

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.place = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
