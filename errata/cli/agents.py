"""`errata agent …`: versions of agents and their stages.

In: the command line. Out: rows of the registry.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from errata.cli.options import HomeOption, JsonOption, database

if TYPE_CHECKING:
    from ingestion.tables import AgentVersion

app = typer.Typer(no_args_is_help=True, help="Register agents' versions and move their stages.")

ACTOR = "cli"
AgentArgument = Annotated[str, typer.Argument(help="The agent's id.")]
VersionArgument = Annotated[str, typer.Argument(help="The version, as its proposals state it.")]


@app.command()
def register(
    agent: AgentArgument,
    version: VersionArgument,
    parent: Annotated[str | None, typer.Option(help="The version that it was made from.")] = None,
    model: Annotated[str | None, typer.Option(help="What it runs on.")] = None,
    data: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="The bundle of its training.")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register a new version: it begins as a learner, nine tenths of whose work people look at.

    Example: errata agent register desk 4 --parent 3 --data bundle-dpo
    """
    from ingestion import agent_versions

    digest = _digest(data) if data is not None else None
    with database(home) as opened, opened.transaction() as session:
        row = agent_versions.register(
            session,
            agent,
            version,
            parent=parent,
            model=model,
            data=digest,
            actor=ACTOR,
            now=datetime.now(UTC),
        )
        _say([row], as_json)


@app.command()
def stage(
    agent: AgentArgument,
    version: VersionArgument,
    to: Annotated[
        Literal["learner", "supervisor", "auditor"], typer.Argument(help="Where it moves.")
    ],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Move a version up or down.

    Example: errata agent stage desk 4 supervisor
    """
    from ingestion import agent_versions

    with database(home) as opened, opened.transaction() as session:
        row = agent_versions.move(session, agent, version, to, actor=ACTOR, now=datetime.now(UTC))
        _say([row], as_json)


@app.command("list")
def list_(
    agent: Annotated[str | None, typer.Argument(help="Only this agent's.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List registered versions, the newest first."""
    from ingestion import agent_versions

    with database(home) as opened, opened.reading() as session:
        _say(agent_versions.listed(session, agent), as_json)


def _digest(bundle: Path) -> str:
    """The digest of a bundle, whatever it is for, once its files are found to be whole.

    Raises:
        Malformed: It is none, or a file was changed.
    """
    from errata.errors import Malformed
    from training import bundle as bundles

    try:
        kind = json.loads((bundle / bundles.MANIFEST).read_bytes())["kind"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Malformed(f"{bundle} is no bundle: make one with `errata export`", "data") from error
    return bundles.load(bundle, kind).digest


def _say(rows: "list[AgentVersion]", as_json: bool) -> None:
    if as_json:
        wire: list[dict[str, Any]] = [
            row.model_dump(mode="json", exclude_none=True) for row in rows
        ]
        typer.echo(json.dumps(wire))
        return
    for row in rows:
        made = f", made from {row.parent}" if row.parent else ""
        typer.echo(
            f"{row.agent_id} {row.version}: {row.stage} since {row.staged_at:%Y-%m-%d}{made}"
        )
    if not rows:
        typer.echo("no version is registered")
