"""A browser in which every sign of a running text is heard. In: a site. Out: the alarms it raised.

The kinds: `flag`, `storage`, `console`, `dialog` and `window` are raised by a script; `visit` by
any connection to the outside address; `request` by one that left for anybody else; `moved` by a
page that was led away; `lookup` by a name that the browser resolved.
"""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from playwright.sync_api import BrowserContext, Page, sync_playwright
from test_browser import CHROMIUM, QUIET

NAME = "canary.invalid"
"""A name that nobody should resolve."""

LOG = "net.json"

_NETWORK = re.compile(r"(https?|wss?|ftp)://", re.IGNORECASE)

STORAGE_ALARM = """
const read = Storage.prototype.getItem;
Storage.prototype.getItem = function (key) {
  if (key === "canary") window.top.canaryRead = 1;
  return read.call(this, key);
};
"""
HEARD = "[window.top.canary && 'flag', window.top.canaryRead && 'storage'].filter(Boolean)"


class Outside:
    """An address that nobody should ask for; it counts who comes."""

    def __init__(self) -> None:
        self.visits: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                visitor, _ = self._socket.accept()
                visitor.settimeout(0.5)
                # Noted before anything is said: to connect is to tell of us.
                self.visits.append("connected")
                with suppress(OSError):
                    self.visits[-1] = visitor.recv(200).decode(errors="replace")
                    visitor.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
                visitor.close()

    def close(self) -> None:
        self._socket.close()


class Watch:
    """Hears every alarm in one page, except what only the browser's log tells afterwards."""

    def __init__(self, context: BrowserContext, url: str, outside: Outside) -> None:
        self.url = url
        self.outside = outside
        self._alarms: list[str] = []
        context.add_init_script(STORAGE_ALARM)
        self.page: Page = context.new_page()
        self.page.on("dialog", self._dialog)
        self.page.on("console", self._console)
        self.page.on("requestfinished", self._request)
        self.page.on("requestfailed", self._request)
        context.on("page", lambda page: self._alarms.append(f"window {page.url}"))

    def _dialog(self, dialog: object) -> None:
        self._alarms.append("dialog")
        dialog.dismiss()

    def _console(self, message: object) -> None:
        if message.text == "canary":
            self._alarms.append("console")

    def _request(self, request: object) -> None:
        # What the policy stopped never left the browser.
        stopped = "csp" in (request.failure or "").lower()
        outward = _NETWORK.match(request.url) and not request.url.startswith(self.url)
        if outward and not stopped:
            self._alarms.append(f"request {request.url}")

    def alarms(self, settle_ms: int = 300) -> list[str]:
        """Return what was heard up to now, each told by its kind."""
        self.page.wait_for_timeout(settle_ms)
        if not self.page.url.startswith(self.url):
            self._alarms.append(f"moved {self.page.url}")
        self._alarms += self.page.evaluate(HEARD)
        return self._alarms + [f"visit {visit}" for visit in self.outside.visits]

    def quiet(self, where: str, settle_ms: int = 300) -> None:
        """Fail if anything was heard up to now."""
        heard = self.alarms(settle_ms)
        assert not heard, (where, heard)

    def until(self, check: Callable[[], bool], seconds: float = 20) -> bool:
        """Ask again and again, from here: the policy forbids the page to wait for a text of ours."""
        deadline = time.monotonic() + seconds
        while not (held := check()) and time.monotonic() < deadline:
            self.page.wait_for_timeout(100)
        return held

    def open(self, path: str) -> None:
        self.page.goto(self.url + path)


@contextmanager
def watched(url: str, outside: Outside, folder: Path) -> Iterator[Watch]:
    """Open a browser with a profile of its own: without one it connects to nobody ahead of time."""
    folder.mkdir()
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            folder / "profile",
            executable_path=CHROMIUM,
            args=[*QUIET, f"--log-net-log={folder / LOG}"],
            viewport={"width": 1400, "height": 900},
        )
        yield Watch(context, url, outside)
        context.close()


def lookups(folder: Path) -> list[str]:
    """Return what nobody should have resolved, by the log of a browser that is closed."""
    text = (folder / LOG).read_text(errors="replace")
    assert '"constants"' in text, "the browser wrote no log"
    return [host for host in re.findall(r'"host":"([^"]*)"', text) if NAME in host]
