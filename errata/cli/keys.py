"""`errata key …`: who may call.

In: the command line. Out: keys, whose secrets are printed once.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from errata.cli.options import HomeOption, JsonOption, database, open_home, settings

if TYPE_CHECKING:
    from pathlib import Path

app = typer.Typer(no_args_is_help=True, help="Make, list, revoke and rotate keys.")

Role = Literal["agent", "reviewer", "supervisor", "admin", "analyst"]
ACTOR = "cli"


@app.command()
def create(
    role: Annotated[Role, typer.Option(help="What the key may do.")],
    name: Annotated[str, typer.Option(help="Whose it is; a reviewer's Argilla user name.")],
    groups: Annotated[
        str, typer.Option(help="A reviewer's groups, with commas; senior@2027-06-30 ends that day.")
    ] = "",
    expires_in: Annotated[
        str | None, typer.Option(help="How long the key is valid, such as 90d; else always.")
    ] = None,
    agent: Annotated[list[str] | None, typer.Option(help="Agent ids it may speak for.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key; a reviewer gets an Argilla user too.

    Example: errata key create --role reviewer --name ann --groups senior,security
    """
    from ingestion import keys

    now = datetime.now(UTC)
    ends = _span(expires_in)
    with database(home, make=True) as opened, opened.transaction() as session:
        made = keys.create(
            session,
            role,
            name,
            groups=dict(keys.group(one) for one in groups.split(",") if one.strip()),
            expires_at=now + ends if ends is not None else None,
            agents=agent or [],
            actor=ACTOR,
            now=now,
        )
        # Inside the transaction: a reviewer whom Argilla does not take gets no key either.
        password = _labeler(home, name) if role == "reviewer" else None
    answer: dict[str, object] = {
        "key": made.secret,
        "role": role,
        "name": name,
        "groups": sorted(made.principal.groups),
    }
    if password is not None:
        answer["password"] = password
    if as_json:
        typer.echo(json.dumps(answer))
        return
    typer.echo(f"Key for {name} ({role}), shown once: {made.secret}")
    if password is not None:
        typer.echo(f"Argilla user {name!r}, password shown once: {password}")


def _span(stated: str | None) -> timedelta | None:
    """How long a key is valid.

    Raises:
        Malformed: It is no duration.
    """
    from errata.errors import Malformed
    from ingestion.policy import duration

    try:
        return None if stated is None else duration(stated)
    except ValueError as error:
        raise Malformed(f"--expires-in: {error}") from error


def _labeler(home: "Path | None", name: str) -> str | None:
    """Make the reviewer's Argilla user where there is an Argilla; returns its password if new.

    Raises:
        Unavailable: There should be one, and it does not answer.
    """
    import secrets

    from errata.errors import Unavailable

    chosen = settings(home=home)
    folder = open_home(home)
    running = folder.running()
    if chosen.argilla_url is not None and chosen.argilla_api_key is not None:
        url, key = chosen.argilla_url, chosen.argilla_api_key.get_secret_value()
    elif running is not None and running.argilla is not None:
        url, key = running.argilla, folder.credentials().argilla.api_key
    elif running is not None:
        return None  # runs without Argilla
    else:
        raise Unavailable("the reviewer's Argilla user can only be made while `errata up` runs")
    import httpx

    from review.argilla.gateway import Gateway

    password = secrets.token_urlsafe(12)
    try:
        new = Gateway(url, key, chosen.argilla_workspace).user(name, password)
    except httpx.HTTPError as error:
        raise Unavailable(f"Argilla at {url} does not answer: {error}") from error
    return password if new else None


@app.command(name="list")
def list_all(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the keys, without their secrets.

    Example: errata key list --json
    """
    from ingestion import keys

    with database(home) as opened, opened.reading() as session:
        rows = [
            {
                "id": listed.key.id,
                "name": listed.principal.name,
                "roles": listed.principal.roles,
                "groups": sorted(listed.principal.groups),
                "agents": listed.principal.agents,
                "created_at": listed.key.created_at.isoformat(),
                "expires_at": listed.key.expires_at and listed.key.expires_at.isoformat(),
                "revoked": listed.key.revoked_at is not None,
            }
            for listed in keys.list_all(session)
        ]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        state = "revoked" if row["revoked"] else "valid"
        typer.echo(f"{row['id']}  {state:8}  {row['name']:20}  {row['roles']}")


@app.command()
def revoke(key_id: str, home: HomeOption = None) -> None:
    """Make a key invalid.

    Example: errata key revoke 019a5c…
    """
    from ingestion import keys

    with database(home) as opened, opened.transaction() as session:
        keys.revoke(session, key_id, actor=ACTOR, now=datetime.now(UTC))
    typer.echo(f"Key {key_id} is revoked.")


@app.command()
def rotate(key_id: str, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Revoke a key and make another for the same holder.

    Example: errata key rotate 019a5c…
    """
    from ingestion import keys

    with database(home) as opened, opened.transaction() as session:
        made = keys.rotate(session, key_id, actor=ACTOR, now=datetime.now(UTC))
    if as_json:
        typer.echo(json.dumps({"key": made.secret, "name": made.principal.name}))
        return
    typer.echo(f"New key for {made.principal.name}, shown once: {made.secret}")
