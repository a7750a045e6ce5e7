"""Commands for whoever keeps an installation: doctor, backup, restore.

In: a data folder. Out: findings; an archive; a data folder.
"""

import json
from pathlib import Path
from typing import Annotated

import typer

from errata.cli.options import HomeOption, JsonOption, open_home, settings


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(doctor)
    app.command()(backup)
    app.command()(restore)


def doctor(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Look at every part and say what to do about what is wrong.

    Example: errata doctor
    """
    from errata import doctor as practice

    found = list(practice.examine(settings(home=home), open_home(home)))
    if as_json:
        typer.echo(json.dumps([finding._asdict() for finding in found]))
    else:
        for finding in found:
            typer.echo(f"{finding.grade:8} {finding.part}: {finding.words}")
    if any(finding.grade == "fault" for finding in found):
        raise typer.Exit(1)


def backup(
    file: Annotated[Path, typer.Argument(help="The archive to make.")], home: HomeOption = None
) -> None:
    """Write an archive of the data folder; it may be running.

    The archive holds keys and everything that people wrote: keep it as you keep the folder.

    Example: errata backup errata-2026-11-21.tar.gz
    """
    from errata import backup as archives
    from errata.errors import Malformed

    if settings(home=home).database_url is not None:
        raise Malformed(
            "the database is not in the data folder (ERRATA_DATABASE_URL is set); "
            "back it up with its own tools, such as pg_dump"
        )
    done = archives.save(open_home(home), file)
    typer.echo(f"{done.path}: {len(done.files)} files, {done.size:,} bytes")


def restore(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True)],
    home: HomeOption = None,
) -> None:
    """Make a data folder from an archive.

    Example: errata restore errata-2026-11-21.tar.gz --home ./restored
    """
    from errata import backup as archives

    folder = open_home(home)
    restored = archives.load(file, folder)
    typer.echo(f"{folder.path}: {len(restored)} files; `errata up --home {folder.path}` starts it")
