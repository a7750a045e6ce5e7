"""An Argilla in memory, for tests: the same contract as the real one, and people who answer.

In: records pushed; answers that a test gives in a user's name. Out: the records with their
answers. tests/contract holds it and the real one to the same behaviour.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from errata.errors import Unavailable
from review.argilla.surface import Answer, NotTaken, Pushed, Record

Status = Literal["draft", "submitted", "discarded"]


@dataclass
class Held:
    """A record in the fake, with its answers by user."""

    server_id: str
    dataset: str
    record: Record
    answers: dict[str, Answer] = field(default_factory=dict[str, Answer])
    looks: dict[str, datetime] = field(default_factory=dict[str, datetime])


class FakeArgilla:
    """A surface in memory.

    Args:
        now: The time of its first answer; every answer is a second later than the one before.
    """

    def __init__(self, now: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self.held: dict[str, Held] = {}
        """Records by server id."""
        self.pushes = 0
        """Calls of `push` that took something."""
        self.down = False
        """Whether it answers nothing."""
        self.refuses: set[str] = set()
        """External ids of records that it does not take."""
        self._now = now

    def push(self, dataset: str, records: Sequence[Record]) -> dict[str, str]:
        """See `Surface.push`."""
        self._answer_or_fail()
        if refused := [one.external_id for one in records if one.external_id in self.refuses]:
            raise NotTaken(f"the fake does not take {', '.join(refused)}")
        self.pushes += 1
        return {one.external_id: self._upsert(dataset, one) for one in records}

    def _upsert(self, dataset: str, record: Record) -> str:
        for held in self.held.values():
            if (held.dataset, held.record.external_id) == (dataset, record.external_id):
                held.record = record
                return held.server_id
        held = Held(str(uuid.uuid4()), dataset, record)
        self.held[held.server_id] = held
        return held.server_id

    def remove(self, dataset: str, server_ids: Sequence[str]) -> None:
        """See `Surface.remove`."""
        self._answer_or_fail()
        for server_id in server_ids:
            if server_id in self.held and self.held[server_id].dataset == dataset:
                del self.held[server_id]

    def records(self, dataset: str) -> list[Pushed]:
        """See `Surface.records`."""
        self._answer_or_fail()
        return [_pushed(held) for held in self.held.values() if held.dataset == dataset]

    def record(self, server_id: str) -> Pushed | None:
        """See `Surface.record`."""
        self._answer_or_fail()
        held = self.held.get(server_id)
        if held is None:
            return None
        done = {name for name, one in held.answers.items() if one.status != "draft"}
        open_by = {name: at for name, at in held.looks.items() if name not in done}
        return _pushed(held)._replace(open_by=open_by)

    def _answer_or_fail(self) -> None:
        if self.down:
            raise Unavailable("the fake is down")

    def find(self, external_id: str) -> Held:
        """The record of that external id.

        Raises:
            KeyError: There is none.
        """
        for held in self.held.values():
            if held.record.external_id == external_id:
                return held
        raise KeyError(external_id)

    def look(self, external_id: str, username: str, at: datetime) -> None:
        """Have a user look at a record."""
        self.find(external_id).looks[username] = at

    def answer(
        self,
        external_id: str,
        username: str | None,
        values: Mapping[str, Any],
        status: Status = "submitted",
    ) -> Answer:
        """Answer a record in a user's name; a second answer replaces the user's first.

        Args:
            external_id: The record.
            username: Whose answer; None for somebody who was deleted since.
            values: Question name to value.
            status: What the user did with it.
        """
        held = self.find(external_id)
        self._now += timedelta(seconds=1)
        before = held.answers.get(username or "")
        answer = Answer(
            response_id=before.response_id if before else str(uuid.uuid4()),
            status=status,
            username=username,
            values=dict(values),
            inserted_at=before.inserted_at if before else self._now,
            updated_at=self._now,
        )
        held.answers[username or ""] = answer
        return answer


def _pushed(held: Held) -> Pushed:
    return Pushed(held.server_id, held.record.external_id, list(held.answers.values()))
