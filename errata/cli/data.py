"""Commands on the data: check the log.

In: a data folder. Out: what was found.
"""

import json

import typer

from errata.cli.options import HomeOption, JsonOption, database

audit = typer.Typer(no_args_is_help=True, help="Check the event log.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(audit, name="audit")


@audit.command()
def verify(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Check that nobody changed, removed or inserted an event, and that decisions match the log.

    Example: errata audit verify
    """
    from ingestion import events

    with database(home) as opened, opened.reading() as session:
        found = events.verify(session)
    if as_json:
        typer.echo(json.dumps(found._asdict()))
    else:
        typer.echo(f"{found.events} events, head {found.head}")
        for fault in found.faults:
            typer.echo(f"fault: {fault}")
        typer.echo("the log is whole" if not found.faults else "the log was tampered with")
    if found.faults:
        raise typer.Exit(1)
