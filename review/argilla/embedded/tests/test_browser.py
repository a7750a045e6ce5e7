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


def sign_in(page, server, person):
    page.goto(server.url)
    page.fill("input[type=text]", person.me["username"])
    page.fill("input[type=password]", PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Your datasets")).to_be_visible(timeout=15_000)


def test_a_labeler_signs_in_reviews_and_submits_while_hostile_text_stays_text(server, owner, page):
    dataset = owner.dataset()
    metadata = [{"prio": 2}, {"prio": 1}]
    urgent, _ = owner.push(dataset, *({"fields": HOSTILE, "metadata": each} for each in metadata))
    person = owner.person()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    sign_in(page, server, person)
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


def looks(owner, *records):
    return {
        look["record_id"]: look
        for look in owner.call("GET", "errata/looks", record_id=list(records))["items"]
    }


def test_the_page_reports_when_a_record_was_seen_and_when_work_on_it_began(server, owner, page):
    dataset = owner.dataset()
    first, second = owner.push(
        dataset, *({"text": f"case {i}", "metadata": {"prio": i}} for i in (1, 2))
    )
    person = owner.person()
    sign_in(page, server, person)
    page.goto(
        f"{server.url}/dataset/{dataset}/annotation-mode?status=pending&sort=metadata.prio.asc"
    )
    expect(page.get_by_text("case 1")).to_be_visible(timeout=15_000)
    page.wait_for_timeout(1000)
    seen = looks(owner, first, second)
    assert list(seen) == [first], "only what was on the screen"
    assert seen[first]["user_id"] == person.me["id"]
    assert seen[first]["first_action_at"] is None

    page.keyboard.press("Shift")
    page.wait_for_timeout(500)
    assert looks(owner, first)[first]["first_action_at"] is None, "nothing was done yet"
    page.keyboard.press("2")
    page.wait_for_timeout(500)
    touched = looks(owner, first)[first]
    assert touched["first_action_at"] > touched["opened_at"] == seen[first]["opened_at"]

    page.get_by_text("Submit", exact=True).click()
    expect(page.get_by_text("case 2")).to_be_visible()
    page.wait_for_timeout(1000)
    after = looks(owner, first, second)
    assert after[first] == touched
    assert after[second]["opened_at"] > touched["first_action_at"]
    (answer,) = owner.call("GET", f"records/{first}")["responses"]
    assert touched["first_action_at"] < f"{answer['inserted_at']}Z" < after[second]["opened_at"]


def test_the_bulk_page_reports_what_is_on_the_screen_and_work_on_what_is_chosen(
    server, owner, page
):
    dataset = owner.dataset()
    text = " ".join(["long"] * 100)
    records = owner.push(
        dataset, *({"text": f"{i} {text}", "metadata": {"prio": i}} for i in range(10))
    )
    person = owner.person()
    sign_in(page, server, person)
    page.goto(
        f"{server.url}/dataset/{dataset}/annotation-mode?status=pending&sort=metadata.prio.asc"
    )
    expect(page.get_by_text("0 long")).to_be_visible(timeout=15_000)
    page.locator("button.switch").nth(1).click()
    boxes = page.locator(".record__wrapper .checkbox__container")
    boxes.nth(1).wait_for()
    page.wait_for_timeout(1000)
    seen = looks(owner, *records)
    assert 1 < len(seen) < len(records)
    for place in (0, 1):
        boxes.nth(place).click()
    page.locator(".questions-form").get_by_text("reject").first.click()
    page.wait_for_timeout(500)
    acted = {key for key, look in looks(owner, *records).items() if look["first_action_at"]}
    assert acted == set(records[:2])
