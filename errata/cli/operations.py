"""Commands for whoever keeps an installation: queue, alarms, shadow, doctor, backup, restore.

In: a data folder. Out: what waits for people, and where; alarms; findings; an archive; a data folder.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from errata.cli.options import HomeOption, JsonOption, database, open_home, settings

if TYPE_CHECKING:
    from review.argilla.links import Waiting


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(queue)
    app.command()(alarms)
    app.command()(shadow)
    app.command()(doctor)
    app.command()(backup)
    app.command()(restore)


def queue(
    labeler: Annotated[
        str | None, typer.Option("--for", help="Also link what is assigned to this reviewer.")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what waits for people, and the pages in Argilla that show it, the urgent first.

    A proposal is assigned to a reviewer by "assignee" in its metadata.

    Example: errata queue --for ann
    """
    from review import afterwards
    from review.argilla import links

    with database(home) as opened, opened.reading() as session:
        rows = links.waiting(session, labeler)
        tasks = afterwards.count(session)
    base = _argilla(home)
    answer = [_row(row, base) for row in rows]
    if as_json:
        typer.echo(json.dumps(answer))
    elif not rows:
        typer.echo("Nothing waits.")
    else:
        _print(rows, answer)
    if tasks and not as_json:
        said = ", ".join(f"{number} {sort}" for sort, number in sorted(tasks.items()))
        typer.echo(f"On what is decided: {said} (GET /v1/queue names them).")


def _argilla(home: Path | None) -> str | None:
    """Argilla's address, where there is one."""
    chosen, folder = settings(home=home), open_home(home)
    if chosen.argilla_url is not None:
        return chosen.argilla_url.rstrip("/")
    return folder.credentials().argilla.url if folder.has_credentials() else None


def _row(row: "Waiting", base: str | None) -> dict[str, object]:
    pages = {
        name: base + page if base and page else None
        for name, page in (("urgent_first", row.urgent_first), ("assigned", row.assigned))
    }
    return {
        "kind": row.kind,
        "dataset": row.dataset,
        "count": row.proposals,
        "oldest": row.oldest.isoformat(),
        **pages,
    }


def _print(rows: "list[Waiting]", answer: list[dict[str, object]]) -> None:
    now = datetime.now(UTC)
    typer.echo(f"{'kind':12}{'dataset':16}{'waiting':>8}  {'oldest':10}")
    for row, printed in zip(rows, answer, strict=True):
        age = str(now - row.oldest).partition(".")[0]
        typer.echo(f"{row.kind:12}{row.dataset or '-':16}{row.proposals:>8}  {age:10}")
        for name, words in (("urgent_first", "urgent first"), ("assigned", "assigned")):
            if printed[name] is not None:
                typer.echo(f"  {words}: {printed[name]}")


def alarms(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show the open alarms: bypasses, runs in doubt, floods, approvals that nobody acted on.

    A supervisor or admin closes one with POST /v1/alarms/ID/close.

    Example: errata alarms --json
    """
    from ingestion import alarms as bells

    with database(home) as opened, opened.reading() as session:
        found = bells.listed(session)
    if as_json:
        typer.echo(json.dumps([one.model_dump(mode="json") for one in found]))
    elif not found:
        typer.echo("No alarm is open.")
    else:
        for one in found:
            about = f"  proposal {one.proposal_id}" if one.proposal_id else ""
            raised = one.raised_at.isoformat(timespec="seconds")
            typer.echo(f"{one.kind:8} {raised}  agent {one.agent_id}{about}  ({one.id})")


def shadow(
    agent: Annotated[
        str | None, typer.Option("--agent", help="Only what this agent answered silently.")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how often silent answers agree with what people decided on the same work.

    Example: errata shadow --agent desk-next
    """
    from ingestion import shadows

    with database(home) as opened, opened.reading() as session:
        found = shadows.compare(session, agent)
    if as_json:
        typer.echo(json.dumps(found.wire()))
        return
    share = f"{found.agreeing / found.n:.1%}" if found.n else "nothing to compare"
    typer.echo(f"{found.agreeing} of {found.n} agree ({share}); {found.waiting} wait for people")
    for one in found.differing:
        typer.echo(f"differs: {one.shadow} from {', '.join(one.live)}")


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
