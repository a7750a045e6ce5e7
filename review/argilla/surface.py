"""What the bridge needs of a review surface, and the values that pass between them.

In: nothing. Out: the contract that the real Argilla and the fake both keep.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from errata.errors import Unavailable


class NotTaken(Unavailable):
    """The surface answered, and did not take what was sent."""


class Suggestion(NamedTuple):
    """A value that a question is prefilled with."""

    question: str
    value: Any


class Record(NamedTuple):
    """A record to be pushed."""

    external_id: str
    fields: Mapping[str, str]
    metadata: Mapping[str, Any]
    suggestions: Sequence[Suggestion]


class Answer(NamedTuple):
    """One person's response to a record, as Argilla holds it."""

    response_id: str
    status: str
    """`draft`, `submitted` or `discarded`; only a submitted one is an answer."""
    username: str | None
    """None for a user that Argilla no longer has."""
    values: Mapping[str, Any]
    """Question name to value."""
    inserted_at: datetime
    updated_at: datetime
    opened_at: datetime | None = None
    """When this person first had the record on the screen; None where nobody measures it."""
    first_action_at: datetime | None = None
    """When they first touched the form."""


class Pushed(NamedTuple):
    """A record that Argilla holds."""

    server_id: str
    external_id: str
    answers: Sequence[Answer]
    open_by: Mapping[str, datetime] = MappingProxyType({})
    """Who had it on the screen and has not answered, with the time of the first look; known where
    one record is asked for, and where somebody measures it."""


class Surface(Protocol):
    """Where people review."""

    def push(self, dataset: str, records: Sequence[Record]) -> dict[str, str]:
        """Create or overwrite records; returns server ids by external id.

        Raises:
            NotTaken: It takes none of them, because of one or more.
            Unavailable: It does not answer.
        """
        ...

    def remove(self, dataset: str, server_ids: Sequence[str]) -> None:
        """Delete records; ids that are gone already are no error."""
        ...

    def records(self, dataset: str) -> list[Pushed]:
        """Every record of a dataset with its answers."""
        ...

    def record(self, server_id: str) -> Pushed | None:
        """One record with its answers; None when it is gone."""
        ...
