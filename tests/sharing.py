"""How processes share the tests out: `pytest -n 2`.

In: the ids of the tests. Out: units that stay in one process, the largest first. A unit is a test,
unless its file makes something dear that its tests have in common.
"""

import re

from xdist.scheduler import LoadScopeScheduling

DEAR = re.compile(r"tests/(contract/test_surface\.py|e2e/|training/)")
"""Start an Argilla, or train."""
INSTALLATION = re.compile(r"tests/e2e/test_(browser|cli|external|operations|screens|setup|up)\.py")
"""Share the one running installation."""


def unit(test: str) -> str:
    """What a test belongs to."""
    if INSTALLATION.match(test):
        return "installation"
    return test.partition("::")[0] if DEAR.match(test) else test


class Sharing(LoadScopeScheduling):
    """Units as above, each to the next process that is free."""

    def _split_scope(self, nodeid: str) -> str:
        return unit(nodeid)
