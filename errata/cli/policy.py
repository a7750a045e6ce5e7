"""`errata policy …`: check, explain and try a policy file, and make it active.

In: a policy file. Out: its mistakes by line and key, where it sends proposals and why, what it
would have changed, or a new active version.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from errata.cli.options import HomeOption, JsonOption, database

if TYPE_CHECKING:
    from errata.protocol import Proposal
    from ingestion.policy_file import Mistake, Versioned
    from ingestion.simulation import Simulation

app = typer.Typer(no_args_is_help=True, help="Check, explain, try and apply policy files.")

PolicyFile = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True)]


@app.command()
def check(file: PolicyFile, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Name line and key of every mistake; with --home also groups that nobody belongs to.

    Example: errata policy check policy.yaml --home .errata
    """
    from ingestion import keys, warnings
    from ingestion.policy_file import BadPolicy, parse

    try:
        versioned = parse(_text(file))
    except BadPolicy as bad:
        if not as_json:
            raise
        _print_check(None, [], bad.mistakes)
        raise typer.Exit(1) from bad
    found = versioned.warnings
    if home is not None:
        with database(home) as opened, opened.reading() as session:
            known = keys.groups(session, datetime.now(UTC).date())
        found = [*found, *warnings.of_groups(versioned.policy, known)]
    if as_json:
        _print_check(versioned.version, found, [])
        return
    for warning in found:
        typer.echo(f"warning: {warning}")
    typer.echo(f"{file}: good, version {versioned.version}")


def _print_check(version: str | None, warnings: list[str], mistakes: "list[Mistake]") -> None:
    listed = [mistake._asdict() for mistake in mistakes]
    typer.echo(json.dumps({"version": version, "warnings": warnings, "mistakes": listed}))


@app.command()
def explain(
    file: PolicyFile,
    proposal: Annotated[str, typer.Argument(help="A file with a proposal as JSON, or an id.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say where a proposal goes, by which rule, on what terms, and what would change that.

    Example: errata policy explain policy.yaml proposal.json
    """
    from ingestion import explaining

    policy = _parsed(file).policy
    found = explaining.explain(policy, _proposal(proposal, home))
    ruling = found.ruling
    if as_json:
        said = {
            "route": ruling.route,
            "rule": ruling.rule,
            "reason": ruling.reason,
            "propensity": ruling.propensity,
            "on_timeout": ruling.on_timeout,
            "terms": ruling.terms.model_dump(mode="json"),
            "counterfactuals": list(found.counterfactuals),
        }
        typer.echo(json.dumps(said))
        return
    typer.echo(f"{ruling.route}: {ruling.reason}")
    if ruling.route == "queue":
        typer.echo(f"  {explaining.terms(ruling)}")
    for sentence in found.counterfactuals:
        typer.echo(f"  {sentence}")


def _proposal(stated: str, home: Path | None) -> "Proposal":
    """The proposal of a file, or the stored one of an id."""
    from errata.errors import NotFound
    from errata.protocol import Proposal
    from ingestion import bodies, store

    path = Path(stated)
    if path.is_file():
        return bodies.parse(_text(path), Proposal)
    with database(home) as opened, opened.reading() as session:
        store.load(session, stated)
        found = store.proposal(session, stated)
    if found is None:
        raise NotFound(f"the text of proposal {stated} has been erased")
    return found


@app.command()
def simulate(
    file: PolicyFile,
    since: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="Only proposals since; UTC."),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put the stored live proposals to a policy: prompts saved, corrections missed.

    Example: errata policy simulate looser.yaml --since 2026-01-01
    """
    from ingestion import simulation

    policy = _parsed(file).policy
    start = since.replace(tzinfo=UTC) if since is not None else None
    with database(home) as opened, opened.reading() as session:
        found = simulation.simulate(session, policy, since=start)
    if as_json:
        changes = [
            {"id": one.id, "then": one.then, "now": one.now, "rule": one.rule}
            for one in found.changes
        ]
        typer.echo(json.dumps({**found._asdict(), "changes": changes}))
        return
    _print_simulation(found)


def _print_simulation(found: "Simulation") -> None:
    typer.echo(f"{found.proposals} proposals, {found.erased} left out because they were erased")
    for then, row in found.routes.items():
        for now, count in row.items():
            if count:
                typer.echo(f"  {then} then, {now} now: {count}")
    typer.echo(f"prompts saved: {found.prompts_saved}, added: {found.prompts_added}")
    typer.echo(f"corrections missed: {len(found.corrections_missed)}")
    for id_ in found.corrections_missed:
        typer.echo(f"  {id_}")
    typer.echo(f"newly blocked: {len(found.newly_blocked)}")
    for id_ in found.newly_blocked:
        typer.echo(f"  {id_}")


@app.command()
def apply(file: PolicyFile, home: HomeOption = None) -> None:
    """Make a policy active from now on; open proposals are asked again under it.

    Example: errata policy apply policy.yaml
    """
    from review import reasking

    with database(home, make=True) as opened, opened.transaction() as session:
        done = reasking.apply(session, _text(file), actor="cli", now=datetime.now(UTC))
    typer.echo(f"{file} is active, version {done.in_force.version}")
    if done.asked_again or done.ended:
        typer.echo(
            f"open proposals: {done.asked_again} are asked again, {done.ended} the policy decided"
        )
    if done.revoked:
        typer.echo(f"unused permits for what it blocks: {done.revoked} are revoked")


def _parsed(file: Path) -> "Versioned":
    from ingestion.policy_file import parse

    return parse(_text(file))


def _text(file: Path) -> str:
    from errata.errors import Malformed

    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"{file}: not UTF-8 text ({error.reason})") from error
