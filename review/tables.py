"""The rows that review owns.

In: answers from Argilla, the API and files. Out: reviews with their text, and the outbox, inbox
and record map of the Argilla bridge.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Index, Integer
from sqlmodel import Field, SQLModel

from errata.db import Utc


class Review(SQLModel, table=True):
    """What one person said about one digest."""

    id: str = Field(primary_key=True)
    proposal_id: str = Field(foreign_key="proposal.id", index=True)
    round: int
    digest: str
    verdict: str
    reviewer: str = Field(index=True)
    """The reviewer's name; for imports the name in the file."""
    reviewer_role: str | None = None
    surface: str
    """`argilla`, `api` or `import`."""
    accepted: bool
    refusal: str | None = None
    """Why it did not count: late, not eligible, wrong digest, not a valid version."""
    counted: bool = False
    """Whether it is the reviewer's newest accepted review when the decision was made."""
    opened_at: datetime | None = Field(default=None, sa_type=Utc)
    first_action_at: datetime | None = Field(default=None, sa_type=Utc)
    decided_at: datetime | None = Field(default=None, sa_type=Utc)
    """As stated by the surface."""
    received_at: datetime = Field(sa_type=Utc)


class ReviewPayload(SQLModel, table=True):
    """The erasable text of a review: the whole wire value."""

    review_id: str = Field(primary_key=True, foreign_key="review.id")
    proposal_id: str = Field(foreign_key="proposal.id", index=True)
    body: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))


class Outbox(SQLModel, table=True):
    """Something to be done in Argilla; written in the transaction that makes it necessary."""

    id: int | None = Field(
        default=None,
        sa_column=Column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    )
    proposal_id: str = Field(foreign_key="proposal.id", index=True)
    round: int
    op: str
    """`push` or `remove`."""
    attempts: int = 0
    not_before: datetime = Field(sa_type=Utc)
    claimed_until: datetime | None = Field(default=None, sa_type=Utc)
    done_at: datetime | None = Field(default=None, sa_type=Utc)
    error: str | None = None

    __table_args__ = (Index("outbox_due", "done_at", "not_before"),)


class Inbox(SQLModel, table=True):
    """An answer seen in Argilla; the key makes each version of it count once."""

    response_id: str = Field(primary_key=True)
    updated_at: datetime = Field(primary_key=True, sa_type=Utc)
    proposal_id: str = Field(foreign_key="proposal.id", index=True)
    review_id: str | None = Field(default=None, foreign_key="review.id")
    """None for a draft or a discard, which are no answers."""


class ArgillaRecord(SQLModel, table=True):
    """A record that we pushed to Argilla."""

    external_id: str = Field(primary_key=True)
    """`<proposal id>:<round>`."""
    proposal_id: str = Field(foreign_key="proposal.id", index=True)
    round: int
    dataset: str
    server_id: str | None = Field(default=None, index=True)
    digest: str
    note: str | None = None
    """Shown at the head of the record: why the last answer was refused."""
    pushed_at: datetime | None = Field(default=None, sa_type=Utc)
    removed_at: datetime | None = Field(default=None, sa_type=Utc)
