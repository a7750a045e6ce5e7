"""The policy in force, and its history.

In: policy files that were applied. Out: the parsed policy of any version.
"""

from datetime import datetime
from typing import NamedTuple

from sqlmodel import Session, col, select

from errata.errors import Unavailable
from ingestion import events, tables
from ingestion.policy import Policy
from ingestion.policy_file import parse

REMEMBERED = 32
"""Versions that are kept parsed."""


class InForce(NamedTuple):
    """The active policy."""

    policy: Policy
    version: str


def apply(session: Session, text: str, *, actor: str, now: datetime) -> InForce:
    """Make a policy active; applying the active one again changes nothing.

    Open proposals keep the version they were routed under until the next stage asks anew.

    Raises:
        BadPolicy: The text has mistakes.
    """
    versioned = parse(text)
    events.hold(session)  # of two that are applied at once, one is active
    before = _active(session)
    if before is not None and before.version == versioned.version:
        return InForce(versioned.policy, versioned.version)
    if before is not None:
        before.active = False
        session.add(before)
        session.flush()
    row = session.get(tables.Policy, versioned.version)
    if row is None:
        row = tables.Policy(version=versioned.version, text=text, applied_at=now, active=True)
    row.active, row.applied_at, row.applied_by = True, now, actor
    session.add(row)
    session.flush()  # this transaction may go on under it
    events.append(session, "policy.applied", actor=actor, now=now, version=versioned.version)
    return InForce(versioned.policy, versioned.version)


def in_force(session: Session) -> InForce:
    """The active policy.

    Raises:
        Unavailable: None was ever applied.
    """
    found = active(session)
    if found is None:
        raise Unavailable("no policy is active; run `errata policy apply FILE`")
    return found


def active(session: Session) -> InForce | None:
    """The active policy, or None where none was ever applied."""
    found = session.connection().execute(_ACTIVE).first()
    if found is None:
        return None
    version: str = found[0]
    policy = _parsed.get(version)
    return InForce(policy or _parse(session.get_one(tables.Policy, version)), version)


def at(session: Session, version: str) -> Policy | None:
    """The policy of a version; None of one that was never applied here."""
    known = _parsed.get(version)
    if known is not None:
        return known
    row = session.get(tables.Policy, version)
    return None if row is None else _parse(row)


def _active(session: Session) -> tables.Policy | None:
    return session.exec(select(tables.Policy).where(col(tables.Policy.active))).first()


_ACTIVE = select(tables.Policy.version).where(col(tables.Policy.active))
"""Built once: every proposal asks it."""

_parsed: dict[str, Policy] = {}
"""By version, which is a digest of the policy: what it stands for never changes."""


def _parse(row: tables.Policy) -> Policy:
    policy = parse(row.text).policy
    if len(_parsed) >= REMEMBERED:
        _parsed.clear()
    _parsed[row.version] = policy
    return policy
