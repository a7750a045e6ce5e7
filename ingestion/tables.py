"""The rows that ingestion owns.

In: wire values, validated before they come here. Out: tables that later stages read.
What a person or an agent wrote lives in `Payload` and can be erased; every other column holds
ids, digests, times and closed words and stays.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Index, Integer
from sqlmodel import Field, SQLModel

from errata.db import Utc

BigId = BigInteger().with_variant(Integer, "sqlite")


class Principal(SQLModel, table=True):
    """Someone who holds keys: a person, an agent's author, a program."""

    id: str = Field(primary_key=True)
    name: str = Field(unique=True)
    roles: list[str] = Field(sa_column=Column(JSON, nullable=False))
    groups: list[str] = Field(sa_column=Column(JSON, nullable=False))
    agents: list[str] = Field(sa_column=Column(JSON, nullable=False))
    """Globs of the agent ids that its agent keys may speak for; empty: any."""
    created_at: datetime = Field(sa_type=Utc)
    disabled_at: datetime | None = Field(default=None, sa_type=Utc)


class Key(SQLModel, table=True):
    """A bearer key, stored as a hash."""

    id: str = Field(primary_key=True)
    principal_id: str = Field(foreign_key="principal.id", index=True)
    hash: str = Field(unique=True)
    """SHA-256 of the key: the key itself is 256 random bits, so no slow hash is needed."""
    created_at: datetime = Field(sa_type=Utc)
    revoked_at: datetime | None = Field(default=None, sa_type=Utc)


class Policy(SQLModel, table=True):
    """A version of the policy, as applied."""

    version: str = Field(primary_key=True)
    """P of the digest: the fingerprint of the parsed policy."""
    text: str
    applied_at: datetime = Field(sa_type=Utc)
    applied_by: str | None = None
    active: bool = Field(index=True)


class Proposal(SQLModel, table=True):
    """What an agent asked and where it stands."""

    id: str = Field(primary_key=True)
    kind: str
    mode: str
    source: str = Field(default="live")
    """`live`, or `import` for history that came from a file."""
    exclude: str | None = None
    """honeypot, shadow or test: counts in no figure and trains nothing."""
    agent_id: str = Field(index=True)
    agent_version: str | None = None
    model_id: str | None = None
    proposed_by: str | None = Field(default=None, foreign_key="principal.id")
    requested_by: str | None = None
    task_id: str | None = Field(default=None, index=True)
    group_id: str | None = None
    run_id: str | None = None
    parent_id: str | None = Field(default=None, index=True)
    action_name: str | None = None
    risk_level: str | None = None
    urgency: str = "normal"
    cost_usd: float | None = None
    """What the agent says its work has cost."""
    status: str
    version: int = 0
    """Compare-and-set counter of the status."""
    round: int = 0
    """Rises when people are asked anew: another digest, or the same after a refused answer."""
    digest: str
    """What is being asked now."""
    content_hash: str
    """Fingerprint of the proposal as sent, to tell a repeated import from a changed one."""
    tool_schema: str | None = None
    policy_version: str
    created_at: datetime = Field(sa_type=Utc)
    """As stated by the agent, else the time of receipt."""
    received_at: datetime = Field(sa_type=Utc)
    expires_at: datetime | None = Field(default=None, sa_type=Utc)
    on_timeout: str | None = None

    __table_args__ = (
        Index("proposal_open", "status", "expires_at"),
        Index("proposal_received", "received_at"),
    )


class Payload(SQLModel, table=True):
    """The erasable text of one proposal, decision or receipt."""

    owner: str = Field(primary_key=True)
    """`proposal`, `decision` or `receipt`."""
    id: str = Field(primary_key=True)
    proposal_id: str = Field(foreign_key="proposal.id", index=True)
    body: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))


class Routing(SQLModel, table=True):
    """Where the policy sent a proposal, and why."""

    id: str = Field(primary_key=True)
    proposal_id: str = Field(foreign_key="proposal.id", index=True)
    round: int
    route: str
    rule: str
    reason: str
    policy_version: str
    propensity: float
    """Probability with which the policy would send such a proposal to people; 1 where certain."""
    needed: int
    at: datetime = Field(sa_type=Utc)


class Decision(SQLModel, table=True):
    """The outcome of a proposal; the primary key makes a second one impossible."""

    proposal_id: str = Field(primary_key=True, foreign_key="proposal.id")
    outcome: str
    by: str
    digest: str
    policy_version: str
    needed: int
    got: int
    unchanged: bool | None = None
    """Whether what counts equals what was proposed; None where there is nothing to compare."""
    edit_distance: float | None = None
    """Levenshtein over tokens divided by the longer side, 0..1; None unless edited."""
    decided_at: datetime = Field(sa_type=Utc)

    __table_args__ = (Index("decision_at", "decided_at"),)


class Permit(SQLModel, table=True):
    """The right to run one digest once."""

    id: str = Field(primary_key=True)
    proposal_id: str = Field(foreign_key="proposal.id", unique=True)
    digest: str
    tool_schema: str | None = None
    policy_version: str
    not_before: datetime = Field(sa_type=Utc)
    expires_at: datetime = Field(sa_type=Utc)
    status: str
    fence: int = Field(sa_type=BigInteger)
    used_at: datetime | None = Field(default=None, sa_type=Utc)
    used_by: str | None = Field(default=None, foreign_key="principal.id")
    used_key: str | None = None
    """Idempotency key of the use: the same request again is answered, not run again."""


class Receipt(SQLModel, table=True):
    """What happened when a permit was used."""

    permit_id: str = Field(primary_key=True, foreign_key="permit.id")
    proposal_id: str = Field(foreign_key="proposal.id", index=True)
    status: str
    started_at: datetime = Field(sa_type=Utc)
    finished_at: datetime = Field(sa_type=Utc)
    received_at: datetime = Field(sa_type=Utc)


class Idempotency(SQLModel, table=True):
    """The answer given to a request that carried an idempotency key."""

    principal_id: str = Field(primary_key=True, foreign_key="principal.id")
    key: str = Field(primary_key=True)
    body_hash: str
    proposal_id: str = Field(foreign_key="proposal.id", index=True)
    status_code: int
    answer: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    """The ticket without the proposal's payload, which is read back from `Payload`."""


class Halt(SQLModel, table=True):
    """A time in which nothing ran."""

    id: str = Field(primary_key=True)
    since: datetime = Field(sa_type=Utc)
    by: str
    lifted_at: datetime | None = Field(default=None, sa_type=Utc)
    lifted_by: str | None = None


class Event(SQLModel, table=True):
    """One line of the append-only, hash-chained log."""

    seq: int | None = Field(default=None, sa_column=Column(BigId, primary_key=True))
    id: str = Field(unique=True)
    at: datetime = Field(sa_type=Utc)
    type: str
    proposal_id: str | None = Field(default=None, index=True)
    actor: str
    """A principal's id, `policy`, `worker` or `import`."""
    data: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    """Digests, ids and closed words; nothing that a person or an agent wrote."""
    previous: str
    hash: str = Field(unique=True)


class ChainHead(SQLModel, table=True):
    """The newest hash of the log: one row, locked while a transaction appends."""

    id: int = Field(primary_key=True)
    seq: int = Field(sa_type=BigInteger)
    hash: str


__all__ = [
    "ChainHead",
    "Decision",
    "Event",
    "Halt",
    "Idempotency",
    "Key",
    "Payload",
    "Permit",
    "Policy",
    "Principal",
    "Proposal",
    "Receipt",
    "Routing",
]
