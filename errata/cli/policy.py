"""`errata policy …`: check a policy file and make it active.

In: a policy file. Out: its mistakes by line and key, or a new active version.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from errata.cli.options import HomeOption, database

app = typer.Typer(no_args_is_help=True, help="Check and apply policy files.")

PolicyFile = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True)]


@app.command()
def check(file: PolicyFile) -> None:
    """Name line and key of every mistake.

    Example: errata policy check policy.yaml
    """
    from ingestion.policy_file import parse

    versioned = parse(_text(file))
    for warning in versioned.warnings:
        typer.echo(f"warning: {warning}")
    typer.echo(f"{file}: good, version {versioned.version}")


@app.command()
def apply(file: PolicyFile, home: HomeOption = None) -> None:
    """Make a policy active from now on.

    Example: errata policy apply policy.yaml
    """
    from ingestion import policies

    with database(home, make=True) as opened, opened.transaction() as session:
        in_force = policies.apply(session, _text(file), actor="cli", now=datetime.now(UTC))
    typer.echo(f"{file} is active, version {in_force.version}")


def _text(file: Path) -> str:
    from errata.errors import Malformed

    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"{file}: not UTF-8 text ({error.reason})") from error
