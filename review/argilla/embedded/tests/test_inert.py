"""A few hostile texts of each kind in the review page; `test_hostile` shows all of them everywhere."""

from collections.abc import Iterator

import hostile
import pytest
from alarms import Outside
from hostile_site import Site, walk
from test_browser import CHROMIUM

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium; name one in CHROMIUM")


@pytest.fixture
def outside() -> Iterator[Outside]:
    opened = Outside()
    yield opened
    opened.close()


def test_some_of_each_kind_stays_inert_and_readable(server, outside, tmp_path):
    site = Site(server, outside, hostile.payloads(outside.port, hostile.FEW))
    with site.signed_in(site.labeler, tmp_path / "browser") as watch:
        walk(site, watch, rest=1)
