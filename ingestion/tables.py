"""The rows that ingestion owns.

In: wire values, validated before they come here. Out: tables that later stages read.
What a person or an agent wrote lives in `Payload` and can be erased; every other column holds
ids, digests, times and closed words and stays.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Index, Integer, LargeBinary, UniqueConstraint
from sqlmodel import Field, SQLModel

from errata.db import Utc

BigId = BigInteger().with_variant(Integer, "sqlite")


class Principal(SQLModel, table=True):
    """Someone who holds keys: a person, an agent's author, a program."""

    id: str = Field(primary_key=True)
    name: str = Field(unique=True)
    roles: list[str] = Field(sa_column=Column(JSON, nullable=False))
    groups: dict[str, str | None] = Field(sa_column=Column(JSON, nullable=False))
    """Group to the day on which the membership ends, as a date; None: it does not."""
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
    expires_at: datetime | None = Field(default=None, sa_type=Utc)
    revoked_at: datetime | None = Field(default=None, sa_type=Utc)


class Policy(SQLModel, table=True):
    """A version of the policy, as applied."""

    version: str = Field(primary_key=True)
    """P of the digest: the fingerprint of the parsed policy."""
    text: str
    applied_at: datetime = Field(sa_type=Utc)
    applied_by: str | None = None
    active: bool = Field(index=True)


class AgentVersion(SQLModel, table=True):
    """A version of an agent, and how far it is trusted."""

    agent_id: str = Field(primary_key=True)
    version: str = Field(primary_key=True)
    stage: str
    parent: str | None = None
    """The version that it was made from."""
    model: str | None = None
    """Of its weights: the name that proposals state, or a digest."""
    data: str | None = None
    """Digest of the bundle that it was trained on."""
    registered_at: datetime = Field(sa_type=Utc)
    staged_at: datetime = Field(sa_type=Utc)
    """When it came to its stage."""
    staged_by: str


class Proposal(SQLModel, table=True):
    """What an agent asked and where it stands."""

    id: str = Field(primary_key=True)
    kind: str
    mode: str
    source: str = Field(default="live")
    """`live`; `shadow` for what is compared with live work only; `import` for history from a file."""
    exclude: str | None = None
    """honeypot, shadow or test: counts in no figure and trains nothing."""
    agent_id: str
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
    claimed_by: str | None = None
    """The principal who has said to be working on it; a courtesy that ends by itself and decides nothing."""
    claimed_until: datetime | None = Field(default=None, sa_type=Utc)

    __table_args__ = (
        Index("proposal_open", "status", "expires_at"),
        Index("proposal_received", "received_at"),
        Index("proposal_agent", "agent_id", "received_at"),
    )


class Payload(SQLModel, table=True):
    """The erasable text of one proposal, decision or receipt."""

    owner: str = Field(primary_key=True)
    """`proposal`, `asked` (a person's version, in its round), `decision` or `receipt`."""
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
    terms: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    """On what terms people decide: `ingestion.ruling.Terms`."""
    lot: str | None = None
    """`review`, `audit` or `dual` where a lot was drawn and came out so."""
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

    __table_args__ = (
        Index("decision_order", "decided_at", "proposal_id"),
        Index("decision_by", "by", "decided_at"),
    )


class Permit(SQLModel, table=True):
    """The right to run one digest once."""

    id: str = Field(primary_key=True)
    proposal_id: str = Field(foreign_key="proposal.id", unique=True)
    digest: str = Field(index=True)
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

    __table_args__ = (Index("permit_due", "status", "expires_at"),)


class Receipt(SQLModel, table=True):
    """What happened when a permit was used."""

    permit_id: str = Field(primary_key=True, foreign_key="permit.id")
    proposal_id: str = Field(foreign_key="proposal.id", index=True)
    status: str
    started_at: datetime = Field(sa_type=Utc)
    finished_at: datetime = Field(sa_type=Utc)
    received_at: datetime = Field(sa_type=Utc)


class Task(SQLModel, table=True):
    """Work for people on something that is already decided."""

    id: str = Field(primary_key=True)
    proposal_id: str = Field(foreign_key="proposal.id", index=True)
    sort: str
    """`handover`: the policy gave the task to people; `audit`: it ran and is looked at after."""
    status: str = Field(default="open", index=True)
    """`open`, `done` or `dropped`."""
    opened_at: datetime = Field(sa_type=Utc)
    closed_at: datetime | None = Field(default=None, sa_type=Utc)


class Execution(SQLModel, table=True):
    """What an agent says it ran, outside of the receipts; one permit covers one of these."""

    id: str = Field(primary_key=True)
    agent_id: str
    reported_by: str = Field(foreign_key="principal.id")
    fingerprint: str
    """The digest that was stated, else one of the agent and the action."""
    at: datetime = Field(sa_type=Utc)
    received_at: datetime = Field(sa_type=Utc)
    permit_id: str | None = Field(default=None, foreign_key="permit.id", unique=True)
    """The used permit that covers it; None: it went round the platform."""

    __table_args__ = (UniqueConstraint("agent_id", "fingerprint", "at", name="execution_once"),)


class Alarm(SQLModel, table=True):
    """Something that a person should look at."""

    id: str = Field(primary_key=True)
    kind: str
    """`bypass`, `unknown`, `flood` or `approved_not_executed`; see `ingestion.alarms`."""
    agent_id: str | None = None
    proposal_id: str | None = Field(default=None, foreign_key="proposal.id", index=True)
    digest: str | None = None
    raised_at: datetime = Field(sa_type=Utc)
    closed_at: datetime | None = Field(default=None, sa_type=Utc)
    closed_by: str | None = None

    __table_args__ = (Index("alarm_open", "closed_at", "raised_at"),)


class Run(SQLModel, table=True):
    """A piece of an agent's work that people can watch and interrupt."""

    id: str = Field(primary_key=True)
    agent_id: str
    task_id: str | None = None
    begun_by: str = Field(foreign_key="principal.id", index=True)
    status: str
    """`running`, `paused`, `taken_over`, `stopped`, `done` or `failed`; see `ingestion.runs`."""
    version: int = 0
    """Rises with everything that happens to it."""
    progress: float | None = None
    """0 to 1, as the agent stated it last."""
    word: str | None = None
    """Id of the newest `Note` of a supervisor: why it is interrupted, or what the agent is told."""
    word_by: str | None = None
    word_at: datetime | None = Field(default=None, sa_type=Utc)
    begun_at: datetime = Field(sa_type=Utc)
    changed_at: datetime = Field(sa_type=Utc)

    __table_args__ = (Index("run_newest", "begun_at"),)


class RunStep(SQLModel, table=True):
    """A step that an agent says it has come to."""

    run_id: str = Field(primary_key=True, foreign_key="run.id")
    id: str = Field(primary_key=True)
    number: int
    status: str
    """`started`, `done` or `failed`."""
    progress: float | None = None
    proposal_id: str | None = Field(default=None, foreign_key="proposal.id", index=True)
    at: datetime = Field(sa_type=Utc)


class Note(SQLModel, table=True):
    """The erasable text of what is no proposal: of runs, their steps and interrupts, of feedback."""

    owner: str = Field(primary_key=True)
    """`run`, `step`, `word` or `feedback`."""
    id: str = Field(primary_key=True)
    run_id: str | None = Field(default=None, foreign_key="run.id", index=True)
    proposal_id: str | None = Field(default=None, foreign_key="proposal.id", index=True)
    """Erased with that proposal, or with that run."""
    body: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))


class Dependency(SQLModel, table=True):
    """A proposal that may run only once another has been executed."""

    proposal_id: str = Field(primary_key=True, foreign_key="proposal.id")
    needed_id: str = Field(primary_key=True, foreign_key="proposal.id", index=True)
    open: bool = Field(index=True)
    """Whether it may still change anything; so that the worker looks at few rows."""


class Feedback(SQLModel, table=True):
    """A thumb, up or down, of an end user or a reviewer."""

    id: str = Field(primary_key=True)
    proposal_id: str | None = Field(default=None, foreign_key="proposal.id", index=True)
    run_id: str | None = Field(default=None, foreign_key="run.id", index=True)
    task_id: str | None = Field(default=None, index=True)
    thumb: str
    """`up` or `down`."""
    given_by: str = Field(foreign_key="principal.id")
    """Whose key it came with; an agent's speaks for an end user."""
    at: datetime = Field(sa_type=Utc, index=True)


class SavedState(SQLModel, table=True):
    """Where an agent's framework stopped, sealed, until another process goes on from there."""

    id: str = Field(primary_key=True)
    """Random: it says nothing, and nobody guesses it."""
    agent_id: str
    agent_version: str | None = None
    owner_id: str = Field(foreign_key="principal.id")
    """Whose key saved it; nobody else can resume it."""
    framework_name: str
    framework_version: str
    tools: dict[str, str | None] = Field(sa_column=Column(JSON, nullable=False))
    """Digest of each tool's schema where it was known."""
    status: str
    """`parked`, `resumed`, `done`, or `erased`: its time was over, or its texts were to be forgotten."""
    key: str
    """Fingerprint of the key that opens `sealed`."""
    sealed: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    """None once it is `done` or `erased`."""
    request_key: str
    """Idempotency key of the request that saved it; made up where there was none."""
    taken_by: str | None = None
    """The lease of whoever resumed it last."""
    taken_key: str | None = None
    """Idempotency key of that resume: the same request again gets the same lease."""
    taken_until: datetime | None = Field(default=None, sa_type=Utc)
    created_at: datetime = Field(sa_type=Utc)
    expires_at: datetime = Field(sa_type=Utc)

    __table_args__ = (
        UniqueConstraint("owner_id", "request_key", name="savedstate_once"),
        Index("savedstate_own", "owner_id", "status", "created_at"),
        Index("savedstate_due", "status", "expires_at"),
    )


class StateWait(SQLModel, table=True):
    """A proposal that a saved state waits for."""

    state_id: str = Field(primary_key=True, foreign_key="savedstate.id")
    proposal_id: str = Field(primary_key=True, foreign_key="proposal.id", index=True)
    number: int | None = None
    """Its place in the list that was sent; None: the run waited for it before, so that the content
    may hold it, and goes when it is erased."""


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
    "Alarm",
    "ChainHead",
    "Decision",
    "Dependency",
    "Event",
    "Execution",
    "Feedback",
    "Halt",
    "Idempotency",
    "Key",
    "Note",
    "Payload",
    "Permit",
    "Policy",
    "Principal",
    "Proposal",
    "Receipt",
    "Routing",
    "Run",
    "RunStep",
    "SavedState",
    "StateWait",
    "Task",
]
