"""Whatever a record, a question or a name says, no view runs it, hides behind it or tells of it.

A view that did not show the hostile text would prove nothing, so each test first sees it there.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from urllib.parse import quote

import hostile
import pytest
from alarms import Outside, Watch
from conftest import Client, installed
from hostile_site import POKE, Site, queue, walk
from PIL import Image
from playwright.sync_api import expect
from test_browser import CHROMIUM

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium; name one in CHROMIUM"),
]

WORDS = ("script", "onerror", "javascript", "before7", "img src", "iframe srcdoc", "display none")
PHRASE = '"<img src"'
MOST_GUIDELINES = 10_000
OVERLAID = """
() => [...document.querySelectorAll("button:enabled")].filter((button) => {
  const { x, y, width, height } = button.getBoundingClientRect();
  const above = document.elementFromPoint(x + width / 2, y + height / 2);
  return above?.closest(".markdown-render, .record__content") && !button.contains(above)
    && !button.closest(".markdown-render, .record__content");
}).map((button) => button.innerText)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    outside = Outside()
    with installed("sqlite", tmp_path_factory.mktemp("hostile")) as server:
        assert server.bootstrap() == 0, server.log("bootstrap")
        server.start()
        yield Site(server, outside, hostile.payloads(outside.port))
        server.stop()
    outside.close()


@pytest.fixture
def labeler(site: Site, tmp_path) -> Iterator[Watch]:
    with site.signed_in(site.labeler, tmp_path / "browser") as watch:
        yield watch


@pytest.fixture
def owner(site: Site, tmp_path) -> Iterator[Watch]:
    with site.signed_in(site.owner, tmp_path / "browser") as watch:
        yield watch


def see(watch: Watch, selector: str, text: str) -> None:
    expect(watch.page.locator(selector).filter(has_text=text).first).to_be_visible()


def open_queue(watch: Watch, dataset: str, status: str = "pending") -> None:
    watch.open(f"/dataset/{dataset}/annotation-mode?status={status}")
    watch.page.locator(".record__content").first.wait_for()


def matches(watch: Watch) -> int:
    """Return how many records the queue on the screen has."""
    watch.page.locator(".record__content").first.wait_for()
    counted = watch.page.get_by_text(re.compile(r"^\s*1\s+of\s+\d+\s*$"))
    expect(counted).to_be_visible()
    return int(counted.inner_text().split()[-1])


def test_what_was_pushed_comes_back_as_it_was(site):
    records = site.owner.call("GET", f"datasets/{site.records}/records?limit=1000")["items"]
    assert len(records) == len(site.texts) >= 100
    for record in records:
        pushed = site.record(record["metadata"]["number"])
        assert {key: record[key] for key in ("fields", "metadata", "external_id")} == {
            key: pushed[key] for key in ("fields", "metadata", "external_id")
        }


def test_suggestions_and_questions_come_back_as_they_were(site):
    found = site.owner.call(
        "GET", f"datasets/{site.records}/records?limit=1000&include=suggestions"
    )
    for record in found["items"]:
        text = site.record(record["metadata"]["number"])["fields"]["plain"]
        assert [suggestion["value"] for suggestion in record["suggestions"]] == [text] * 2
    questions = site.owner.call("GET", f"datasets/{site.questions}/questions")["items"]
    titles = {question["name"]: question["title"] for question in questions}
    assert {f"q{n}": text[:500] for n, text in enumerate(site.texts)}.items() <= titles.items()
    (options,) = [q["settings"]["options"] for q in questions if q["name"] == "decision"]
    assert [option["text"] for option in options] == [text[:500] for text in site.texts]


def test_one_record_after_the_other_stays_inert_and_readable(site, labeler):
    walk(site, labeler, rest=10)


def test_the_bulk_view_stays_inert_on_every_page(site, labeler):
    open_queue(labeler, site.records)
    labeler.page.locator("button.switch").nth(1).click()
    for first in range(0, len(site.texts), 10):
        place = labeler.page.get_by_label("Current Record").first
        expect(place).to_have_text(f"{first + 1}", timeout=20_000)
        labeler.page.locator(".record__wrapper .record__content").first.wait_for()
        labeler.page.evaluate(POKE)
        labeler.quiet(f"bulk view from {first}")
        assert labeler.page.evaluate(OVERLAID) == []
        if first + 10 < len(site.texts):
            labeler.page.locator(".pagination__button").nth(1).click()


@pytest.mark.parametrize("words", WORDS)
def test_matches_are_marked_in_hostile_text_without_waking_it(site, labeler, words):
    labeler.open(f"{queue(site.records)}&search={quote(words)}~all")
    count = matches(labeler)

    def marked() -> bool:
        return labeler.page.evaluate("[...CSS.highlights.values()].some((found) => found.size)")

    # A word that stands only in a tag is found, and nowhere to be seen; so look at the next.
    for place in range(1, count + 1):
        expect(labeler.page.get_by_text(f"{place} of {count}", exact=True)).to_be_visible()
        here = labeler.until(marked, seconds=20 if place == count else 1)
        labeler.page.evaluate(POKE)
        labeler.quiet(f"{words} {place}")
        if here:
            return
        labeler.page.locator(".pagination__button").nth(1).click()
    pytest.fail("no match was marked")


def test_a_phrase_of_signs_is_found_and_stays_inert(site, labeler):
    # Argilla marks no words with signs at their ends.
    labeler.open(f"{queue(site.records)}&search={quote(PHRASE)}~all")
    assert len(site.texts) > matches(labeler) > 10
    labeler.page.evaluate(POKE)
    labeler.quiet("a phrase")


def test_a_link_to_a_search_for_hostile_text_stays_inert(site, labeler):
    for text in hostile.payloads(site.outside.port, hostile.FEW):
        labeler.open(f"{queue(site.records)}&search={quote(f'zzzz {text}', safe='')}~all")
        labeler.page.get_by_text("You have no pending records matching").wait_for()
        labeler.quiet(f"search for {text}")


def in_pages(texts: list[str], most: int) -> Iterator[str]:
    page = ""
    for text in texts:
        if len(page) + len(text) > most:
            yield page
            page = ""
        page += f"\n\n{text}"
    yield page


def test_panels_and_the_menu_of_a_record_stay_inert(site, labeler):
    for number, page in enumerate(in_pages(site.texts, MOST_GUIDELINES - 100)):
        open_queue(labeler, site.small(f"guided {number}", f"guide to{page}"))
        for panel in labeler.page.locator(".panel__header:visible").all():
            panel.click(force=True)
        see(labeler, ".annotation-guidelines", "guide to")
        labeler.quiet(f"guidelines {number}")
        assert labeler.page.evaluate(OVERLAID) == []
    open_queue(labeler, site.records)
    for _ in site.texts[:20]:
        labeler.page.locator(".record-menu__header").first.click()
        labeler.page.get_by_text("View metadata").click()
        see(labeler, ".table-info", "before")
        labeler.quiet("metadata of a record")
        labeler.page.keyboard.press("Escape")
        labeler.page.locator(".pagination__button").nth(1).click(force=True)


def test_hostile_titles_labels_spans_and_rankings_stay_inert(site, labeler):
    open_queue(labeler, site.questions)
    see(labeler, ".questions", "<script>")
    see(labeler, ".draggable__rank-card__title", "<script>")
    see(labeler, ".text_field_component__title-content, .record", "<script>")
    for more in labeler.page.locator(".questions button:has-text('+')").all():
        more.click(force=True)
    for info in labeler.page.locator(".questions .icon-info").all()[:20]:
        info.hover(force=True)
    labeler.page.evaluate(POKE)
    labeler.quiet("questions")


@pytest.mark.parametrize("kind", ["metadata", "responses", "suggestion"])
def test_filters_stay_inert(site, labeler, kind):
    for dataset in (site.records, site.questions):
        open_queue(labeler, dataset)
        labeler.page.get_by_role("button", name="Filters").first.click()
        menu = labeler.page.locator(f".{kind}-filter")
        menu.get_by_role("button").last.click()
        menu.locator(".dropdown__content").wait_for()
        if dataset == site.questions:
            assert "<script>" in menu.locator(".dropdown__content").inner_html().replace(
                "&lt;", "<"
            ).replace("&gt;", ">")
        for entry in menu.locator(".dropdown__content button").all()[:20]:
            with suppress(Exception):
                entry.click(force=True, timeout=300)
                labeler.page.wait_for_timeout(100)
        labeler.quiet(f"{kind} of {dataset}")


def test_values_of_metadata_stay_inert_where_they_are_chosen(site, labeler):
    open_queue(labeler, site.records)
    labeler.page.get_by_role("button", name="Filters").first.click()
    menu = labeler.page.locator(".metadata-filter")
    menu.get_by_role("button").last.click()
    menu.locator(".category__item").filter(has_text="note").click()
    see(labeler, ".labels-selector__item", "<script>")
    for item in menu.locator(".labels-selector__item").all()[:3]:
        item.click()
    labeler.quiet("values of metadata")


def test_sorting_stays_inert(site, labeler):
    open_queue(labeler, site.questions)
    labeler.page.get_by_role("button", name="Sort").first.click()
    see(labeler, ".sort-categories__item", "<script>")
    labeler.page.locator(".sort-categories__item").filter(has_text="<script>").first.click()
    labeler.page.wait_for_timeout(500)
    labeler.quiet("sorted")


def test_answered_records_stay_inert(site, labeler):
    person: Client = site.labeler
    found = site.owner.call("GET", f"datasets/{site.records}/records?limit=12")["items"]
    for number, record in enumerate(found):
        text = site.texts[record["metadata"]["number"]]
        status = ("draft", "discarded", "submitted")[number // 4]
        person.answer(record["id"], status, decision="yes", comment=text, marked=text)
    for status in ("draft", "discarded", "submitted"):
        open_queue(labeler, site.records, status)
        for place in range(4):
            expect(labeler.page.get_by_text(f"{place + 1} of 4", exact=True)).to_be_visible()
            see(labeler, ".questions-form .content__text", "<")
            labeler.page.evaluate(POKE)
            labeler.quiet(f"{status} {place}")
            labeler.page.locator(".pagination__button").nth(1).click(force=True)


WRITTEN = """
() => document.body.innerText
  + [...document.querySelectorAll("input, textarea")].map((entry) => entry.value).join()
"""


# What lies above a button and is neither within it nor around it.
COVERED = """
() => [...document.querySelectorAll("button:enabled")].filter((button) => {
  const { x, y, width, height } = button.getBoundingClientRect();
  const above = document.elementFromPoint(x + width / 2, y + height / 2);
  return above && !button.contains(above) && !above.contains(button);
}).map((button) => button.innerText)
"""


def uncovered(watch: Watch) -> None:
    watch.until(lambda: watch.page.evaluate(COVERED) == [])
    assert watch.page.evaluate(COVERED) == []


@pytest.mark.parametrize("tab", ["general", "fields", "questions", "metadata", "danger-zone"])
def test_settings_stay_inert_for_the_owner(site, owner, tab):
    for dataset in (site.records, site.questions):
        owner.open(f"/dataset/{dataset}/settings")
        owner.page.locator(f"#{tab}").click()
        general = owner.page.get_by_text("Task distribution", exact=True)
        expect(general).to_be_visible(visible=tab == "general")
        # Before the preview: of a script the sanitizer leaves nothing to be seen there.
        if tab == "danger-zone":
            expect(owner.page.get_by_role("button", name="Delete")).to_be_visible()
        elif tab == "general" or dataset == site.questions:
            assert owner.until(lambda: "<script>" in owner.page.evaluate(WRITTEN))
        for preview in owner.page.get_by_text("Preview", exact=True).all()[:5]:
            preview.click(force=True)
        if tab == "general" and dataset == site.records:
            see(owner, ".markdown-render", "hover or click")
        uncovered(owner)
        owner.quiet(f"{tab} of {dataset}")


def test_a_dataset_of_a_hostile_name_stays_inert_to_its_deletion(site, owner):
    placed = {number for number, text in enumerate(site.texts) if "style=" in text}
    for number in sorted(placed.union(range(0, len(site.texts), 4))):
        owner.open(f"/dataset/{site.named[number]}/settings")
        see(owner, ".settings__dataset-name", f"{number} ")
        uncovered(owner)
        owner.page.locator("#danger-zone").click()
        owner.page.get_by_role("button", name="Delete").first.click()
        see(owner, "body", "You are about to delete")
        for answer in ("Cancel", "Yes, delete"):
            # A click on trial waits until the button would get it, and fails if it never does.
            owner.page.get_by_role("button", name=answer, exact=True).click(trial=True)
        owner.quiet(site.texts[number])


def test_a_link_in_a_name_opens_nothing_over_the_page(site, owner):
    # The control is in test_alarms.
    owner.open(f"/dataset/{site.small(f'named {hostile.OVER}', 'x')}/settings")
    owner.page.locator(".settings__dataset-name a").hover()
    owner.page.wait_for_timeout(2000)
    assert owner.page.locator(":popover-open").count() == 0
    uncovered(owner)


def test_a_name_paints_nothing_over_the_page(site, owner):
    owner.open(f"/dataset/{site.small(f'painted {hostile.SHADOW}', 'x')}/settings")
    see(owner, ".settings__dataset-name", "painted")
    shot = owner.page.get_by_role("button", name="Copy link").screenshot()
    with Image.open(BytesIO(shot)) as button:
        colors = {
            color for _, color in button.convert("RGB").getcolors(button.width * button.height)
        }
    # Its letters are in it, and no red.
    assert len(colors) > 2
    assert hostile.RED not in colors


# Only the cards on the screen are made; those that scroll away are taken down.
CARDS = """
() => {
  const list = document.querySelector(".dataset-list__content");
  const bounds = list.getBoundingClientRect();
  const near = [...list.querySelectorAll("li[id]")].filter((card) => {
    const { top, bottom } = card.getBoundingClientRect();
    return bottom > bounds.top && top < bounds.bottom;
  });
  const texts = near.map((card) => card.innerText.trim());
  return near.length && texts.every(Boolean) ? texts.join("\\n") : "";
}
"""
NEXT_CARDS = """
() => {
  const list = document.querySelector(".dataset-list__content");
  const before = list.scrollTop;
  list.scrollTop += list.clientHeight / 2;
  return list.scrollTop > before;
}
"""


def all_cards(watch: Watch) -> str:
    """Return what stands on the cards of the home page, which are made as they come into view."""
    watch.page.locator(".dataset-card").first.wait_for()
    texts = []
    while True:
        assert watch.until(lambda: watch.page.evaluate(CARDS)), "a card stays empty"
        texts.append(watch.page.evaluate(CARDS))
        if not watch.page.evaluate(NEXT_CARDS):
            return "\n".join(texts)


def test_lists_of_hostile_names_stay_inert(site, owner):
    assert len(site.people) == len(site.named) == len(site.texts)
    owner.open("/")
    cards = all_cards(owner)
    shown = {int(number) for number in re.findall(r"^(\d+) ", cards, re.MULTILINE)}
    assert shown >= set(range(len(site.named)))
    assert "<script>" in cards
    owner.quiet("cards")
    owner.page.get_by_role("button", name="Workspaces").first.click()
    owner.quiet("home")
    owner.open("/user-settings")
    see(owner, "body", "<script>")
    owner.quiet("workspaces of the owner")


def test_a_hostile_name_stays_inert_where_it_signs_in(site, tmp_path):
    # A name with a line break can be given and not typed.
    typed = [person for person in site.people if "\n" not in person.me["username"]]
    assert len(typed) > 120
    for number, person in enumerate(typed[::40]):
        with site.signed_in(person, tmp_path / f"browser{number}") as watch:
            watch.open("/user-settings")
            see(watch, "body", person.me["username"].split()[0])
            watch.quiet("user settings")
            open_queue(watch, site.records)
            watch.page.locator(".user__button").click()
            watch.quiet("user menu")


def test_a_hostile_name_that_is_refused_stays_inert(site, tmp_path):
    with site.signed_in(site.labeler, tmp_path / "browser") as watch:
        watch.page.context.clear_cookies()
        watch.page.evaluate("localStorage.clear()")
        for text in site.texts[:3]:
            watch.open("/sign-in")
            watch.page.fill("input[type=text]", text)
            watch.page.fill("input[type=password]", text)
            watch.page.keyboard.press("Enter")
            watch.quiet("refused", settle_ms=1000)
