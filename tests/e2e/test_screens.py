"""What a labeler sees and does in Argilla, for every kind, in a real browser."""

import base64
import io
import json
import os
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

import errata
from tests.e2e.chromium import sign_in
from tests.e2e.running import Installation
from tests.review import pictures
from tests.waiting import PATIENCE_S, until

pytestmark = [
    pytest.mark.argilla,
    pytest.mark.browser,
    pytest.mark.skipif(
        bool(os.environ.get("ERRATA_SKIP_BROWSER")), reason="ERRATA_SKIP_BROWSER is set"
    ),
]

HARD = '</script> $& $` {{x}} שלום مرحبا 👩🏽 <img src=x onerror="window.ran=1"> Grüße'
OPTIONS = [{"id": "a", "label": "5 pm"}, {"id": "b", "label": HARD}]
PICTURE = pictures.url(pictures.plain(640, 480, "black"))
ASKED: dict[str, dict[str, Any]] = {
    "action": {"action": {"name": "send", "arguments": {"text": HARD}}},
    "draft": {"content": HARD},
    "plan": {"content": HARD},
    "candidates": {"candidates": [{"id": "a", "content": HARD}, {"id": "b", "content": "-"}]},
    "question": {"message": HARD, "options": OPTIONS},
    "exception": {"message": HARD, "options": [*OPTIONS, {"id": "c", "label": "none"}]},
    "click": {"point": {"x": 320, "y": 200}, "screenshot": PICTURE, "message": HARD},
}
BUTTONS = {
    "question": ["1 Option 1", "2 Option 2"],
    "candidates": ["1 Candidate A", "2 Candidate B"],
}


@pytest.fixture
def client(installation: Installation) -> Iterator[errata.Client]:
    with errata.Client(installation.api, installation.credentials["api"]["agent_key"]) as opened:
        yield opened


def ask(client: errata.Client, id_: str, **fields: Any) -> None:
    client.propose(None, id=id_, agent={"id": "desk"}, **fields)
    until(lambda: client.get(id_).status == "in_review", f"{id_} in Argilla")


def open_record(page: Page, installation: Installation, id_: str) -> None:
    page.goto(f"{installation.api}/v1/proposals/{id_}/review")
    expect(page.locator(".questions-form")).to_be_visible()


def test_every_kind_is_shown_whole_and_inert(
    installation: Installation, client: errata.Client, page: Page
) -> None:
    outside: list[str] = []
    ours = (installation.argilla, installation.api, "data:", "blob:")
    page.on("request", lambda one: None if one.url.startswith(ours) else outside.append(one.url))
    for kind, fields in ASKED.items():
        ask(client, f"screen-{kind}", kind=kind, **fields)
    sign_in(page, installation.argilla, "clara", installation.reviewer("clara"))
    for kind in ASKED:
        open_record(page, installation, f"screen-{kind}")
        # the box of the left side, not the correction beside it
        shown = page.locator(".fields, .record").get_by_text(HARD, exact=True).first
        expect(shown).to_be_visible()
        for button in BUTTONS.get(kind, ()):
            expect(page.locator(".questions-form").get_by_text(button[2:]).first).to_be_visible()
        if kind == "question":
            expect(page.get_by_text("Option 3")).to_have_count(0)
    picture = page.locator("img[src^='data:image/png']")
    expect(picture).to_be_visible()
    data = str(picture.get_attribute("src")).partition(",")[2]
    drawn = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")
    assert drawn.size == (640, 480)
    assert drawn.getpixel((320, 200)) == (214, 0, 28)
    assert page.evaluate("window.ran") is None
    assert outside == []


def test_the_links_show_the_urgent_first_and_what_is_assigned(
    installation: Installation, client: errata.Client, page: Page
) -> None:
    given = {"kind": "plan", "content": "…"}
    ask(client, "links-normal", **given)
    ask(client, "links-critical", **given, urgency="critical")
    ask(client, "links-mine", **given, urgency="log", metadata={"assignee": "dora"})
    password = installation.reviewer("dora")
    rows = json.loads(installation.run("queue", "--for", "dora", "--json").stdout)
    (row,) = [row for row in rows if row["dataset"] == "plan"]
    sign_in(page, installation.argilla, "dora", password)
    shown = page.locator(".questions-form")
    page.goto(row["urgent_first"])
    expect(shown).to_be_visible()
    expect(page.get_by_text("urgency critical")).to_be_visible()
    page.goto(row["assigned"])
    expect(page.get_by_text("assigned to")).to_be_visible()
    expect(page.get_by_text("1 of 1")).to_be_visible()


def test_the_keys_of_the_guidelines_do_what_they_say(
    installation: Installation, client: errata.Client, page: Page
) -> None:
    click = ASKED["click"]
    ask(client, "keys-1", kind="click", **click, urgency="critical")
    ask(client, "keys-2", kind="click", **click, urgency="critical")
    password = installation.reviewer("emma")
    sign_in(page, installation.argilla, "emma", password)
    open_record(page, installation, "keys-1")
    expect(page.locator(".questions-form")).to_contain_text("320,200")

    # out of the picture: refused, and back with the reason and what was written
    page.keyboard.press("2")
    page.keyboard.press("Shift+Enter")
    page.keyboard.press("Control+a")
    page.keyboard.type("640,200")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    _reload_until(page, installation, "keys-1", "your last answer was not taken")
    expect(page.get_by_text("The point 640,200 lies outside of the screenshot")).to_be_visible()
    expect(page.get_by_text("[removed: 320][added: 640],200")).to_be_visible()

    page.keyboard.press("2")
    page.keyboard.press("Shift+Enter")
    page.keyboard.press("Control+a")
    page.keyboard.type("639, 200.5")
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("3")  # the reason
    page.keyboard.press("Enter")
    until(lambda: client.get("keys-1").decision, "the decision")
    decided = client.get("keys-1")
    assert decided.decision is not None
    assert decided.decision.outcome == "edit"
    assert decided.decision.effective.point is not None
    assert decided.decision.effective.point.model_dump() == {"x": 639, "y": 200.5}
    assert decided.reviews[0].review.rationale is not None
    assert decided.reviews[0].review.rationale.code == "wrong_values"

    open_record(page, installation, "keys-2")
    page.keyboard.press("Backspace")  # a discard is no answer
    expect(page.get_by_text("no pending records")).to_be_visible()
    assert client.get("keys-2").status == "in_review"


def test_who_answers_too_late_is_told_at_the_top_of_the_record(
    installation: Installation, client: errata.Client, page: Page
) -> None:
    ask(client, "late-1", kind="draft", content="Dear Nora")
    password = installation.reviewer("frida")
    sign_in(page, installation.argilla, "frida", password)
    with page.expect_response("**/errata/looks"):  # the page tells that it is open
        open_record(page, installation, "late-1")
    key = installation.credentials["api"]["agent_key"]
    httpx2.post(
        f"{installation.api}/v1/proposals/late-1/cancel",
        headers={"Authorization": f"Bearer {key}"},
        timeout=PATIENCE_S,
    ).raise_for_status()
    page.wait_for_timeout(2_000)
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    _reload_until(page, installation, "late-1", "The answer of frida")
    expect(page.get_by_text("came too late: decided at")).to_be_visible()
    expect(page.get_by_text("nothing is asked here", exact=True)).to_be_visible()
    page.keyboard.press("Backspace")
    expect(page.get_by_text("no pending records")).to_be_visible()
    ticket = client.get("late-1")
    assert ticket.decision is not None
    assert ticket.decision.outcome == "cancelled"


def _reload_until(page: Page, installation: Installation, id_: str, words: str) -> None:
    def shown() -> bool:
        open_record(page, installation, id_)
        page.wait_for_timeout(1_000)
        return page.get_by_text(words).first.is_visible()

    until(shown, words)
