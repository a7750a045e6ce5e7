"""A text that does run is heard: without this, silence would say nothing."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from alarms import NAME, Outside, lookups, watched
from hostile import JS, OVER
from test_browser import CHROMIUM

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium; name one in CHROMIUM")

RUNNING = {
    "/script": (f"<script>{JS}</script>", {"flag", "storage", "console", "dialog"}),
    "/handler": (f"<img src=x onerror='{JS}'>", {"flag", "storage", "console", "dialog"}),
    "/frame": ("<iframe srcdoc='<script>top.canary=1</script>'></iframe>", {"flag"}),
    "/window": ("<script>window.open('about:blank')</script>", {"window"}),
    "/picture": ("<img src=URL/a.png>", {"request", "visit"}),
    "/refresh": ("<meta http-equiv=refresh content='0;url=/script?elsewhere'>", {"flag"}),
    "/away": ("<meta http-equiv=refresh content='0;url=URL'>", {"moved", "visit"}),
    "/preconnect": ("<link rel=preconnect href=URL>", {"visit"}),
    "/quiet": ("<p>nothing</p>", set()),
}


class Page(BaseHTTPRequestHandler):
    """Serves one text of the table as a page, without any policy."""

    def do_GET(self) -> None:
        body = self.server.texts.get(self.path.partition("?")[0], "").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><body>" + body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def outside() -> Iterator[Outside]:
    opened = Outside()
    yield opened
    opened.close()


@pytest.fixture
def unprotected(outside: Outside) -> Iterator[str]:
    site = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    url = f"http://127.0.0.1:{outside.port}"
    site.texts = {path: text.replace("URL", url) for path, (text, _) in RUNNING.items()}
    site.texts["/over"] = OVER
    site.texts["/lookup"] = f"<link rel=dns-prefetch href=//{NAME}>"
    threading.Thread(target=site.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{site.server_port}"
    site.shutdown()
    site.server_close()


@pytest.mark.parametrize("path", RUNNING)
def test_what_runs_or_asks_somebody_else_is_heard(unprotected, outside, tmp_path, path):
    with watched(unprotected, outside, tmp_path / "browser") as watch:
        watch.open(path)
        alarms = watch.alarms(settle_ms=1000)
    expected = RUNNING[path][1]
    kinds = {alarm.split()[0] for alarm in alarms}
    assert kinds >= expected
    assert kinds or not expected


def test_a_name_that_is_looked_up_is_heard(unprotected, outside, tmp_path):
    with watched(unprotected, outside, tmp_path / "browser") as watch:
        watch.open("/lookup")
        watch.page.wait_for_timeout(1000)
    assert lookups(tmp_path / "browser")


def test_a_layer_over_the_page_that_a_link_opens_is_seen(unprotected, outside, tmp_path):
    with watched(unprotected, outside, tmp_path / "browser") as watch:
        watch.open("/over")
        if not watch.page.evaluate("'interestForElement' in HTMLAnchorElement.prototype"):
            pytest.skip("this browser opens none")
        watch.page.locator("a").hover()
        assert watch.until(lambda: watch.page.locator(":popover-open").count() == 1)
