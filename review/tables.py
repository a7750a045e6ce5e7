"""The rows that review owns.

In: answers from Argilla, the API and files. Out: reviews with their text, and what the Argilla
bridge knows: records to push and remove, answers seen, datasets, the webhook.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, Index
from sqlmodel import Field, SQLModel

from errata.db import Utc


class Review(SQLModel, table=True):
    """What one person said about one digest."""

    __table_args__ = (Index("review_by", "reviewer", "accepted", "received_at", "id"),)

    id: str = Field(primary_key=True)
    proposal_id: str = Field(foreign_key="proposal.id", index=True)
    round: int
    digest: str
    verdict: str
    reviewer: str
    """The reviewer's name; for imports the name in the file."""
    reviewer_id: str | None = Field(default=None, foreign_key="principal.id")
    """None for imports."""
    reviewer_role: str | None = None
    surface: str
    """`argilla`, `api` or `import`; `task` of what was said once it was decided, which is no vote."""
    accepted: bool
    refusal: str | None = None
    """Why it did not count: late, not eligible, wrong digest, not a valid version."""
    void: str | None = None
    """Why it counts no more: replaced by the same person's next; withdrawn; edited, when somebody's
    version took the place of what it was about; policy, when another policy became active."""
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


class Inbox(SQLModel, table=True):
    """An answer seen in Argilla; the key makes each version of it count once."""

    response_id: str = Field(primary_key=True)
    updated_at: datetime = Field(primary_key=True, sa_type=Utc)
    proposal_id: str = Field(foreign_key="proposal.id", index=True)
    review_id: str | None = Field(default=None, foreign_key="review.id")
    """None for a draft or a discard, which are no answers."""


class ArgillaRecord(SQLModel, table=True):
    """A round of a proposal as a record in Argilla, and the outbox of what is to be done there.

    It is to be pushed while `pushed_at` is empty and the round is being asked, and to be removed
    once the round is over; both calls can be repeated without harm. One that only says that an
    answer did not count asks nothing, and leaves at its time.
    """

    external_id: str = Field(primary_key=True)
    """`<proposal id>:<round>`, or `<proposal id>:<review id>` where it only tells."""
    proposal_id: str = Field(foreign_key="proposal.id", index=True)
    round: int
    dataset: str
    digest: str
    server_id: str | None = Field(default=None, index=True)
    note: str | None = None
    """Why the last answer was refused: shown at the head of the record."""
    answered: str | None = Field(default=None, foreign_key="review.id")
    """The refused review: its version is offered again, or it is what the record tells of."""
    leaves_at: datetime | None = Field(default=None, sa_type=Utc)
    """Until when it tells that an answer did not count; None where it asks."""
    pushed_at: datetime | None = Field(default=None, sa_type=Utc)
    removed_at: datetime | None = Field(default=None, sa_type=Utc)
    attempts: int = 0
    not_before: datetime = Field(sa_type=Utc)
    claimed_until: datetime | None = Field(default=None, sa_type=Utc)
    error: str | None = None
    """What Argilla said at the last attempt."""

    __table_args__ = (Index("argilla_due", "removed_at", "not_before"),)


class ArgillaDataset(SQLModel, table=True):
    """A dataset that we made in Argilla, with the ids that its interface speaks in."""

    name: str = Field(primary_key=True)
    id: str
    questions: dict[str, str] = Field(sa_column=Column(JSON, nullable=False))
    """Question name to question id."""


class ArgillaWebhook(SQLModel, table=True):
    """The webhook that Argilla calls us by."""

    url: str = Field(primary_key=True)
    id: str
    secret: str
