"""Options that several commands take, and what they open.

In: the command line and the environment. Out: settings, a data folder, an open database.
"""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from errata.db import Database
    from errata.home import Home
    from errata.settings import Settings

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="The data folder; default: $ERRATA_HOME, else ./.errata."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def settings(**given: Any) -> "Settings":
    """The settings, with what the command line gives over the environment."""
    from errata.settings import Settings

    return Settings(**{name: value for name, value in given.items() if value is not None})


def open_home(home: Path | None) -> "Home":
    """The data folder, whether or not `errata up` runs on it."""
    from errata.home import Home

    return Home(settings(home=home).home)


@contextmanager
def database(home: Path | None) -> Generator["Database"]:
    """The open and migrated database of a data folder."""
    from errata import db

    opened = db.Database(settings(home=home).database)
    opened.migrate()
    db.use(opened)
    try:
        yield opened
    finally:
        opened.close()
