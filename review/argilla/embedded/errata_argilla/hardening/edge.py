"""The outermost layer of HTTP. In: requests. Out: responses with headers that bind the browser.

Records hold text that agents and the web wrote, and Argilla puts some of it into pages unescaped.
Under this policy no script runs but Argilla's own files and the inline scripts of its pages, which
are known by their hashes; nothing is framed, and no other site is asked for anything.
"""

import base64
import hashlib
from contextvars import ContextVar
from html.parser import HTMLParser
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ADDRESS: ContextVar[str] = ContextVar("errata_argilla_address", default="unknown")
"""Where the request in hand comes from."""

# Ranges of static files cost the server time quadratic in their number (CVE-2025-62727), and no
# page of Argilla asks for any.
_IGNORED = {b"range", b"if-range"}


class Edge:
    """An ASGI layer around the whole application."""

    def __init__(self, app: ASGIApp, policy: str) -> None:
        self._app = app
        self._headers = {
            "Content-Security-Policy": policy,
            "Cross-Origin-Opener-Policy": "same-origin",
            "Referrer-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        ADDRESS.set(scope["client"][0] if scope.get("client") else "unknown")
        headers = [(name, value) for name, value in scope["headers"] if name not in _IGNORED]

        async def send_bound(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        await self._app({**scope, "headers": headers}, receive, send_bound)


def write_policy(pages: Path) -> str:
    """Return the policy for the pages in a folder, as they will be served."""
    inline = sorted(set().union(*(_inline_scripts(page) for page in pages.rglob("*.html"))))
    hashes = " ".join(f"'sha256-{_hash(script)}'" for script in inline)
    return "; ".join(
        (
            "default-src 'self'",
            f"script-src 'self' {hashes}".rstrip(),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "frame-src 'none'",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


class _Scripts(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.found: set[str] = set()
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag == "script" and "src" not in dict(attrs)

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.found.add(data)

    def handle_endtag(self, tag: str) -> None:
        self._inside = False


def _inline_scripts(page: Path) -> set[str]:
    scripts = _Scripts()
    # Without newline="" Python would change line ends, and with them the hash.
    with page.open(encoding="utf-8", newline="") as text:
        scripts.feed(text.read())
    return scripts.found


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
