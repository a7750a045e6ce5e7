"""The schema of the database, brought to the newest version.

In: an opened database. Out: its tables as this version knows them.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, make_url
from sqlalchemy.exc import DBAPIError

from errata.db import Database
from errata.errors import Conflict, Unavailable


def upgrade(database: Database) -> None:
    """Bring the schema to the newest version; creates it on an empty database.

    Raises:
        Unavailable: The database cannot be opened.
        Conflict: A newer Errata made it.
    """
    _make_private(make_url(database.url))
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    try:
        with database.engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except DBAPIError as error:
        raise Unavailable(f"the database cannot be opened: {error.orig}") from error
    except CommandError as error:
        raise Conflict(f"the database is of another version of Errata: {error}") from error


def _make_private(url: URL) -> None:
    """Have an SQLite file belong to its owner alone; the files beside it take after it."""
    if url.get_backend_name() == "sqlite" and url.database not in {None, "", ":memory:"}:
        path = Path(str(url.database))
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)


def migrations_folder() -> Path:
    """Where alembic's scripts lie: beside the package in a checkout, inside it in a wheel."""
    here = Path(__file__).parent
    inside = here / "_migrations"
    return inside if inside.is_dir() else here.parent / "migrations"
