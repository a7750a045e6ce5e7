"""Keys and who holds them.

In: names, roles, bearer tokens. Out: principals; a new key's secret, once.
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from typing import NamedTuple

from sqlalchemy import bindparam
from sqlmodel import Session, col, or_, select

from errata.errors import Conflict, Forbidden, Malformed, NotFound, Unauthorized
from errata.protocol import Role
from ingestion import events
from ingestion.tables import Key, Principal


class NewKey(NamedTuple):
    """A key that was just made; the secret is not stored and cannot be read again."""

    key_id: str
    secret: str
    principal: Principal


def hashed(secret: str) -> str:
    """What is stored of a key."""
    return hashlib.sha256(secret.encode()).hexdigest()


def create(
    session: Session,
    role: Role,
    name: str,
    *,
    groups: Mapping[str, date | None] | None = None,
    expires_at: datetime | None = None,
    agents: Sequence[str] = (),
    actor: str,
    now: datetime,
) -> NewKey:
    """Make a key; a name that is known gets a further role or a further key.

    Args:
        session: A transaction.
        role: What the key may do.
        name: Whose it is; a reviewer's is also the Argilla user name.
        groups: Groups of a reviewer, each with the last day of the membership or None.
        expires_at: When the key stops being valid; None: it does not.
        agents: Globs of agent ids; only for the role agent.
        actor: Who makes it.
        now: When.

    Raises:
        Malformed: No name, or agents for another role than agent.
        Conflict: An agent's name would also review, or the reverse.
    """
    if not name.strip():
        raise Malformed("a key needs a name", field="name")
    if agents and role != "agent":
        raise Malformed("only agent keys are limited to agents", field="agent")
    principal = session.exec(select(Principal).where(Principal.name == name)).first()
    if principal is None:
        principal = Principal(
            id=events.new_id(now), name=name, roles=[], groups={}, agents=[], created_at=now
        )
    roles = {*principal.roles, role}
    if "agent" in roles and len(roles) > 1:
        # Whoever proposes must not decide; one name with both would hide that it does.
        raise Conflict(f"{name!r} is {' and '.join(principal.roles)}; an agent cannot be more")
    principal.roles = sorted(roles)
    joined = {name: ends and ends.isoformat() for name, ends in (groups or {}).items()}
    principal.groups = dict(sorted({**principal.groups, **joined}.items()))
    principal.agents = sorted({*principal.agents, *agents})
    session.add(principal)
    session.flush()
    events.append(session, "key.created", actor=actor, now=now, principal=principal.id, role=role)
    return _issue(session, principal, now, expires_at)


def group(stated: str) -> tuple[str, date | None]:
    """A membership as the command line writes it: `senior`, or `senior@2027-06-30`.

    Raises:
        Malformed: No name, or no date.
    """
    name, _, ends = stated.strip().partition("@")
    if not name:
        raise Malformed(f"{stated!r} names no group", field="groups")
    try:
        return name, date.fromisoformat(ends) if ends else None
    except ValueError as error:
        raise Malformed(f"{ends!r} is no date; write {name}@2027-06-30", field="groups") from error


def groups(session: Session, today: date) -> frozenset[str]:
    """The groups that somebody who can review belongs to on a day."""
    people = session.exec(select(Principal).where(col(Principal.disabled_at).is_(None)))
    return frozenset(
        name
        for person in people
        if "reviewer" in person.roles
        for name, ends in person.groups.items()
        if ends is None or today <= date.fromisoformat(ends)
    )


def _issue(
    session: Session, principal: Principal, now: datetime, expires_at: datetime | None = None
) -> NewKey:
    key_id = events.new_id(now)
    secret = f"errata_{secrets.token_urlsafe(32)}"
    session.add(
        Key(
            id=key_id,
            principal_id=principal.id,
            hash=hashed(secret),
            created_at=now,
            expires_at=expires_at,
        )
    )
    return NewKey(key_id, secret, principal)


def revoke(session: Session, key_id: str, *, actor: str, now: datetime) -> None:
    """Make a key invalid from now on.

    Raises:
        NotFound: There is no such key.
    """
    key = _key(session, key_id)
    if key.revoked_at is None:
        key.revoked_at = now
        session.add(key)
        events.append(session, "key.revoked", actor=actor, now=now, key=key_id)


def rotate(session: Session, key_id: str, *, actor: str, now: datetime) -> NewKey:
    """Revoke a key and make another for the same principal.

    Raises:
        NotFound: There is no such key.
    """
    key = _key(session, key_id)
    principal = session.get(Principal, key.principal_id)
    assert principal is not None
    revoke(session, key_id, actor=actor, now=now)
    new = _issue(session, principal, now, key.expires_at)
    events.append(session, "key.created", actor=actor, now=now, principal=principal.id)
    return new


def _key(session: Session, key_id: str) -> Key:
    key = session.get(Key, key_id)
    if key is None:
        raise NotFound(f"no key {key_id!r}; `errata key list` shows them")
    return key


class Listed(NamedTuple):
    """A key without its secret."""

    key: Key
    principal: Principal


def list_all(session: Session) -> list[Listed]:
    """All keys, oldest first."""
    statement = select(Key, Principal).join(Principal).order_by(col(Key.created_at), col(Key.id))
    return [Listed(key, principal) for key, principal in session.exec(statement)]


def authenticate(session: Session, secret: str | None, *, now: datetime | None = None) -> Principal:
    """Who holds a key.

    Args:
        session: A transaction.
        secret: The key as sent.
        now: When, for keys that end; else the clock's time.

    Raises:
        Unauthorized: No key, an unknown, expired or revoked one, or its holder is disabled. The
            message is the same, so that nobody learns which keys once existed.
    """
    if not secret:
        raise Unauthorized("send a key: Authorization: Bearer errata_…")
    values = {"hash": hashed(secret), "now": now or datetime.now(UTC)}
    principal = session.exec(_HOLDER, params=values).first()
    if principal is None:
        raise Unauthorized("this key is not valid")
    return principal


# Built once: every request runs it.
_HOLDER = (
    select(Principal)
    .join(Key)
    .where(
        Key.hash == bindparam("hash"),
        col(Key.revoked_at).is_(None),
        or_(col(Key.expires_at).is_(None), col(Key.expires_at) > bindparam("now")),
        col(Principal.disabled_at).is_(None),
    )
)


def require(principal: Principal, *roles: Role) -> None:
    """Refuse a principal that has none of the roles.

    Raises:
        Forbidden: It has none of them.
    """
    if not set(roles) & set(principal.roles):
        raise Forbidden(f"this needs the role {' or '.join(roles)}")


def require_agent(principal: Principal, agent_id: str) -> None:
    """Refuse a principal that may not speak for the agent.

    Raises:
        Forbidden: It is no agent, or limited to other agents.
    """
    require(principal, "agent")
    if principal.agents and not any(fnmatchcase(agent_id, glob) for glob in principal.agents):
        raise Forbidden(f"this key may not propose for agent {agent_id!r}", field="agent.id")


def reviewer(session: Session, name: str) -> Principal | None:
    """The active person of that name who may review, if there is one."""
    principal = session.exec(select(Principal).where(Principal.name == name)).first()
    if principal is None or principal.disabled_at is not None:
        return None
    return None if {"reviewer", "supervisor"}.isdisjoint(principal.roles) else principal
