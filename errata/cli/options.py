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
    typer.Option(
        "--home", file_okay=False, help="The data folder; default: $ERRATA_HOME, else ./.errata."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def settings(**given: Any) -> "Settings":
    """The settings, with what the command line gives over the environment.

    Raises:
        typer.BadParameter: A variable of the environment has no valid value.
    """
    from pydantic import ValidationError

    from errata.settings import Settings

    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        wrong = [f"ERRATA_{str(one['loc'][0]).upper()}: {one['msg']}" for one in error.errors()]
        raise typer.BadParameter("; ".join(wrong)) from error


def open_home(home: Path | None) -> "Home":
    """The data folder, whether or not `errata up` runs on it."""
    from errata.home import Home

    return Home(settings(home=home).home)


@contextmanager
def database(home: Path | None, *, make: bool = False) -> Generator["Database"]:
    """The open and migrated database of a data folder.

    Args:
        home: As given on the command line.
        make: Whether a folder that is none yet becomes one; for what brings the first rows. What
            only reads must not answer a mistyped name with an empty database.

    Raises:
        NotFound: There is no such data folder.
        Unavailable: It does not answer.
    """
    from sqlalchemy.exc import OperationalError

    from errata import db
    from errata.errors import NotFound, Unavailable

    chosen = settings(home=home)
    if not make and chosen.database_url is None and not (chosen.home / "errata.db").exists():
        raise NotFound(
            f"{chosen.home} is no data folder yet; give another --home, or run `errata up`"
        )
    opened = db.Database(chosen.database)
    opened.migrate()
    db.use(opened)
    try:
        yield opened
    except OperationalError as error:
        raise Unavailable(f"the database did not answer ({error.orig}); try again") from error
    finally:
        opened.close()
