"""A tool that reads web pages, from hosts that the owner of the machine has named and from no others; without any there is no such tool."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import httpx

from workbench.background.tools import Tool, tool
from workbench.errors import InputError

MOST_BYTES, MOST_CHARS, MOST_HOPS = 500_000, 8_000, 3
CONNECT_S, READ_S, TOTAL_S = 3.0, 5.0, 10.0
_HOST = re.compile(r"(?:\*\.)?[a-z0-9.-]+(?::\d+)?")
_HIDDEN = frozenset("title script style noscript template svg iframe object".split())  # not head: its end may be left out
_BREAKS = frozenset("p div br li tr h1 h2 h3 h4 h5 h6 section article table ul ol".split())
_LOCAL = ("localhost", "127.0.0.1")


def fetch_tool(hosts: Sequence[str]) -> Tool:
    """The tool for these hosts: "example.org", "*.example.org" for all below it, "localhost:8000" for a server of this machine.

    Pages come over https, from this machine over http; redirects are followed to such hosts only, and no cookie is kept. What it returns is
    text that others wrote, so a run that has read a page calls no other tool. Raises InputError for a host that is none, or without any.
    """
    allowed = tuple(host.strip().lower() for host in hosts)
    wrong = [host for host in allowed if not _HOST.fullmatch(host)]
    if wrong or not allowed:
        given = repr(wrong[0]) if wrong else "nothing"
        raise InputError(f"{given} is no host; give e.g. example.org, *.example.org or localhost:8000")

    def fetch_page(url: str) -> str:
        """Read a web page and give its text.

        Args:
            url: the address of the page, with https://
        """
        return page_text(url, allowed)

    return tool(timeout_s=TOTAL_S, most_chars=MOST_CHARS + 200, foreign=True)(fetch_page)


def page_text(url: str, allowed: Sequence[str]) -> str:
    """The text of a page. Raises InputError when its host is not allowed, or there is no such page, or it is no text."""
    timeout = httpx.Timeout(READ_S, connect=CONNECT_S)
    with httpx.Client(timeout=timeout, follow_redirects=False, trust_env=False) as client:
        for _ in range(MOST_HOPS + 1):
            check_address(url, allowed)
            try:
                with client.stream("GET", url, headers={"accept": "text/html, text/plain"}) as answer:
                    if not answer.is_redirect:
                        return _read(answer, url)
                    url = urljoin(url, answer.headers.get("location", ""))
            except httpx.HTTPError as error:
                raise InputError(f"{url} could not be read: {type(error).__name__}") from error
    raise InputError(f"{url} was redirected more than {MOST_HOPS} times")


def check_address(url: str, allowed: Sequence[str]) -> None:
    """Raises InputError for an address that may not be read: another scheme, another host, a name or password in it."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError as error:
        raise InputError(f"{url[:100]!r} is no address: {error}") from error
    local = host in _LOCAL
    if parts.scheme not in (("http", "https") if local else ("https",)) or parts.username or parts.password:
        raise InputError(f"{url[:100]!r} may not be read; give an address that begins with https:// and holds no name or password")
    named = host if port is None else f"{host}:{port}"
    fits = [one for one in allowed if named == one or (one.startswith("*.") and host.endswith(one[1:]) and port in (None, 443))]
    if not fits:
        raise InputError(f"{named or url[:100]!r} is not among the hosts that may be read: {', '.join(allowed)}")


def _read(answer: httpx.Response, url: str) -> str:
    kind = answer.headers.get("content-type", "").split(";")[0].strip().lower()
    if answer.status_code != 200:
        raise InputError(f"{url} answered {answer.status_code}")
    if kind not in ("text/html", "text/plain", "application/xhtml+xml"):
        raise InputError(f"{url} is {kind or 'of no kind'}; pages and plain text are read")
    body = b""
    for piece in answer.iter_bytes():
        body += piece
        if len(body) > MOST_BYTES:
            raise InputError(f"{url} is larger than {MOST_BYTES} bytes")
    text = body.decode(answer.charset_encoding or "utf-8", errors="replace")
    return (text if kind == "text/plain" else visible(text))[:MOST_CHARS]


class _Visible(HTMLParser):
    """Gathers the text that a reader would see."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.hidden = 0
        self.pieces: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hidden += tag in _HIDDEN
        if tag in _BREAKS:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self.hidden = max(0, self.hidden - (tag in _HIDDEN))
        if tag in _BREAKS:
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.pieces.append(data)


def visible(html: str) -> str:
    """The text of a page, a line for each block, without scripts, styles and markup."""
    reader = _Visible()
    reader.feed(html)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.pieces).splitlines())
    return "\n".join(line for line in lines if line)
