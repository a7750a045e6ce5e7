"""The outermost layer of HTTP. In: requests. Out: responses with headers that bind the browser.

No page of Argilla may be framed, its content types are meant as they are written, links lead out
without telling where from, and no name in a link is looked up before it is followed. Ranges are
not served.
"""

from contextvars import ContextVar

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
            "X-DNS-Prefetch-Control": "off",
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
