"""The review page works in a real browser under the policy, and records stay inert in it."""

import os
import shutil
from collections.abc import Iterator

import pytest
from conftest import PASSWORD
from playwright.sync_api import Page, expect, sync_playwright

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium; name one in CHROMIUM")

SCRIPT = "<img src=x onerror='window.top.hacked=1'><script>window.top.hacked=1</script>"
HOSTILE = {
    "text": f"<b>Refund</b>{SCRIPT}",
    "talk": [{"role": "user", "content": f"Hello{SCRIPT}"}],
    "tool": {"payload": f"</script>{SCRIPT}"},
}


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser.new_page(viewport={"width": 1400, "height": 900})
        browser.close()


def test_a_labeler_signs_in_reviews_and_submits_while_hostile_text_stays_text(server, owner, page):
    dataset = owner.dataset()
    metadata = [{"prio": 2}, {"prio": 1}]
    urgent, _ = owner.push(dataset, *({"fields": HOSTILE, "metadata": each} for each in metadata))
    person = owner.person()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    page.goto(server.url)
    page.fill("input[type=text]", person.me["username"])
    page.fill("input[type=password]", PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Your datasets")).to_be_visible(timeout=15_000)
    queue = "annotation-mode?page=1&status=pending&sort=metadata.prio.desc"
    page.goto(f"{server.url}/dataset/{dataset}/{queue}")
    expect(page.get_by_text("Refund")).to_be_visible(timeout=15_000)
    expect(page.get_by_text("Hello")).to_be_visible()
    page.keyboard.press("2")
    page.get_by_text("Submit", exact=True).click()
    expect(page.get_by_text("2 of 2")).to_be_visible()

    assert page.evaluate("window.hacked") is None
    assert [url for url in asked if not url.startswith((server.url, "data:"))] == []
    (answer,) = owner.call("GET", f"records/{urgent}")["responses"]
    assert answer["user_id"] == person.me["id"]
    assert answer["values"]["decision"] == {"value": "reject"}
