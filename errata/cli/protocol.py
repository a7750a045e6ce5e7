"""`errata protocol …`: check values of the protocol, print its schemas.

In: a file with values as JSON or JSON lines. Out: every mistake by line, field and reason; the JSON
Schemas of all values.
"""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from errata.cli.options import JsonOption

app = typer.Typer(no_args_is_help=True, help="Check protocol values, print their schemas.")


@app.callback()
def protocol() -> None:
    """Check protocol values, print their schemas."""


@app.command()
def validate(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True)],
    kind: Annotated[
        Literal["proposal", "review", "decision", "permit", "receipt", "ticket"] | None,
        typer.Option(help="What every value is; by default each is known by its fields."),
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="The policy file: its schemas are in digests."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Name line, field and reason of everything that is no valid value, or whose digest is wrong.

    A digest is checked where the proposal stands in the same file.

    Example: errata protocol validate decisions.jsonl
    """
    from ingestion import validation
    from ingestion.policy_file import parse

    known = parse(policy.read_text(encoding="utf-8")).policy if policy is not None else None
    found = validation.validate(file.read_bytes(), kind, known)
    if as_json:
        mistakes = [mistake._asdict() for mistake in found.mistakes]
        typer.echo(json.dumps({**found._asdict(), "mistakes": mistakes}))
    else:
        for mistake in found.mistakes:
            typer.echo(f"line {mistake.line}: {mistake.field}: {mistake.reason}", err=True)
        kinds = ", ".join(f"{count} {name}" for name, count in found.values.items())
        typer.echo(
            f"{kinds or 'nothing'}; {found.digests} digests checked, "
            f"{len(found.unchecked)} could not be; {len(found.mistakes)} mistakes"
        )
    if found.mistakes:
        raise typer.Exit(1)


@app.command()
def schemas() -> None:
    """Print the JSON Schemas (2020-12) of all values, as a server has them at /v1/schemas.

    Example: errata protocol schemas > schemas.json
    """
    from errata.protocol import schemas as stated

    typer.echo(json.dumps(stated(), indent=2, sort_keys=True))
