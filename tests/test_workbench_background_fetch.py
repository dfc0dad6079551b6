"""Pages are read from hosts that were named and from no others, and what they say has no authority."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from workbench.agents import SilentAgent
from workbench.background.fetch import MOST_BYTES, check_address, fetch_tool, page_text, visible
from workbench.background.tools import run_tool
from workbench.background.wiring import background_agent, wired
from workbench.errors import InputError

PAGE = "<html><head><title>T</title></head><body><h1>River</h1><script>alert(1)</script><p>It is <b>long</b> &amp; wide.</p></body></html>"


class Site(BaseHTTPRequestHandler):
    """A page, a picture, a page too large, and redirects here and elsewhere."""

    def do_GET(self) -> None:
        kinds = {"/picture": "image/png", "/": "text/html; charset=utf-8", "/large": "text/plain"}
        body = {"/": PAGE.encode(), "/large": b"x" * (MOST_BYTES + 10), "/picture": b"png"}.get(self.path, b"")
        to = {"/here": "/", "/away": "https://elsewhere.org/", "/loop": "/loop"}.get(self.path)
        self.send_response(302 if to else 200 if self.path in kinds else 404)
        self.send_header("location", to) if to else self.send_header("content-type", kinds.get(self.path, "text/plain"))
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("https://example.org/a", True),
        ("https://en.wiki.org/x", True),
        ("http://example.org/a", False),
        ("https://example.org:8443/", False),
        ("https://example.org@evil.org/", False),
        ("https://me:pw@example.org/", False),
        ("https://example.org.evil.org/", False),
        ("https://evilwiki.org/", False),
        ("https://wiki.org/", False),
        ("file:///etc/passwd", False),
        ("https://127.0.0.1/", False),
        ("https://[::1", False),
        ("", False),
    ],
)
def test_only_hosts_that_were_named_may_be_read(url: str, fine: bool) -> None:
    try:
        check_address(url, ("example.org", "*.wiki.org"))
        may = True
    except InputError:
        may = False
    assert may == fine


def test_a_page_is_read_as_its_reader_would_see_it(site: str) -> None:
    assert visible(PAGE) == "River\nIt is long & wide."
    assert visible("<title>T</title><style>p {}</style><body><p>It is long.") == "It is long."
    assert visible("<html><head><title>T</title><meta charset=utf-8><body><p>It is long.") == "It is long."  # </head> may be left out
    tool = fetch_tool([site])
    outcome = run_tool(tool, {"url": f"http://{site}/here"}, lambda: False)
    assert (outcome.ok, outcome.text) == (True, "River\nIt is long & wide.")
    assert tool.foreign


@pytest.mark.parametrize(
    ("path", "cause"),
    [
        ("none", "answered 404"),
        ("picture", "is image/png"),
        ("large", "is larger than"),
        ("away", "'elsewhere.org' is not among"),
        ("loop", "redirected more"),
    ],
)
def test_what_cannot_be_read_is_named(site: str, path: str, cause: str) -> None:
    with pytest.raises(InputError, match=cause):
        page_text(f"http://{site}/{path}", (site,))


def test_it_is_off_unless_hosts_are_named() -> None:
    plain, reading = (background_agent("chat:http://127.0.0.1:1/v1#m", hosts)().spec()["tools"] for hosts in ((), ("example.org",)))
    assert (plain, reading) == ([], ["fetch_page"])
    with pytest.raises(InputError, match="'no host!' is no host"):
        fetch_tool(["no host!"])
    with pytest.raises(InputError, match="is for a chat model"):
        wired(SilentAgent(), "local", [], live=True, fetch=["example.org"])
