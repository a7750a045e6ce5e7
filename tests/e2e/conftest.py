"""One running installation for the tests that can share it."""

from collections.abc import Iterator

import pytest

from tests.e2e.running import Installation


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    running = Installation(tmp_path_factory.mktemp("shared") / "home")
    try:
        running.up()
        yield running
    finally:
        running.stop()
