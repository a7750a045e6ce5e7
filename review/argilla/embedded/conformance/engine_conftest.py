"""The fixtures of Argilla's search-engine tests, for our engine. Out: an engine and a client.

Copied beside Argilla's tests in place of the file that connects to Elasticsearch there.
"""

import pytest
from tests.database import TestSession

from conformance.raw import Raw, Tested


@pytest.fixture
def opensearch() -> Raw:
    """What the tests believe to be Elasticsearch."""
    return Raw()


@pytest.fixture
def search_engine(opensearch: Raw) -> Tested:
    """Our engine, in the tests' own session: they never commit."""
    return Tested(opensearch, TestSession)
