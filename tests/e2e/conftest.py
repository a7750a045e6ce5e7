"""One running installation for the tests that can share it, and a browser's page."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.e2e import chromium
from tests.e2e.running import Installation
from tests.waiting import PATIENCE_S


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    running = Installation(tmp_path_factory.mktemp("shared") / "home")
    try:
        running.up()
        yield running
    finally:
        running.stop()


@pytest.fixture
def page() -> Iterator[Page]:
    found = chromium.find()
    assert found is not None, "no Chromium: run `make browser`, or set ERRATA_SKIP_BROWSER=1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(found), args=chromium.FLAGS)
        context = browser.new_context(viewport={"width": 1400, "height": 1000}, locale="en")
        context.set_default_timeout(PATIENCE_S * 1_000)
        expect.set_options(timeout=PATIENCE_S * 1_000)
        yield context.new_page()
        browser.close()
