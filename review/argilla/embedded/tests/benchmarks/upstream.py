"""Argilla as published, with a search engine that holds nothing. In: its own command line.

Argilla finds an engine by the name under which it was registered, in each process; this file
registers one that costs no time and then hands over to Argilla's commands.
"""

import os
import sys
from pathlib import Path

from argilla_server.cli import app
from argilla_server.search_engine.base import SearchEngine, SearchResponses
from conftest import PASSWORD, Server

NAME = "nothing"


async def _nothing(*_: object, **__: object) -> None:
    return None


async def _no_records(*_: object, **__: object) -> SearchResponses:
    return SearchResponses(items=[], total=0)


async def _yes(*_: object, **__: object) -> bool:
    return True


def register() -> None:
    """Register the engine that does nothing."""
    methods = dict.fromkeys(SearchEngine.__abstractmethods__, _nothing)
    methods |= {"ping": _yes, "search": _no_records, "similarity_search": _no_records}
    engine = type("Nothing", (SearchEngine,), methods)
    engine.new_instance = classmethod(_made)
    SearchEngine.register(NAME)(engine)


async def _made(engine: type[SearchEngine]) -> SearchEngine:
    return engine()


class Upstream(Server):
    """An installation of Argilla as published, started as its documentation says."""

    @property
    def environment(self) -> dict[str, str]:
        folders = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
        return {
            **super().environment,
            "PYTHONPATH": os.pathsep.join(folders),
            "ARGILLA_SEARCH_ENGINE": NAME,
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }

    def command(self, *arguments: str) -> list[str]:
        if arguments[0] == "redis":
            return super().command(*arguments)
        if arguments[0] == "serve":
            arguments = ("start", "--host", "127.0.0.1", *arguments[1:])
        return [sys.executable, __file__, *arguments]

    def bootstrap(self) -> int:
        migrated = self.launch("database", "migrate").wait(60)
        owner = ("--username", "olga", "--first-name", "olga", "--role", "owner")
        secrets = ("--password", PASSWORD, "--api-key", self.owner_key, "--workspace", "review")
        return migrated or self.launch("database", "users", "create", *owner, *secrets).wait(60)


if __name__ == "__main__":
    register()
    app()
