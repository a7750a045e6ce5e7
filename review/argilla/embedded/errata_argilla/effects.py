"""What an answer entails, in the answer's own transaction. In: changed answers. Out: rows.

Argilla commits an answer, then sets the status of its record in a transaction of its own, then
announces the event. A process that dies on the way would leave a record open that has all its
answers, or an event that nobody hears of. So both are written with the answer; what Argilla does
afterwards finds the status as it should be.
"""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from argilla_server.enums import RecordStatus, ResponseStatus
from argilla_server.models import Dataset, Record, Response
from argilla_server.webhooks.v1.enums import ResponseEvent
from sqlalchemy import event as sql_event
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

Note = Callable[[Session, Response, ResponseEvent], None]

_RECORDS, _DATASETS, _RESPONSES = (model.__table__ for model in (Record, Dataset, Response))


def entail(note: Note) -> None:
    """From now on, set the record's status with each answer, and note the event.

    Records pushed with answers are left to Argilla: it sets their status itself and announces
    nothing.
    """

    def follow(session: Session, response: Response, event: ResponseEvent) -> None:
        if _set_status(session, response.record_id):
            note(session, response, event)

    @sql_event.listens_for(Session, "after_flush")
    def follow_changes(session: Session, _context: object) -> None:
        for response, event in list(_changes(session)):
            follow(session, response, event)

    upsert_one = Response.upsert.__func__

    async def upsert(
        table: type[Response],
        db: AsyncSession,
        schema: Any,
        constraints: list[Any],
        autocommit: bool = True,
    ) -> Response:
        response = await upsert_one(table, db, schema, constraints, autocommit=False)
        new = response.inserted_at == response.updated_at
        event = ResponseEvent.created if new else ResponseEvent.updated
        await db.run_sync(follow, response, event)
        if autocommit:
            await db.commit()
        return response

    Response.upsert = classmethod(upsert)


def _changes(session: Session) -> Iterator[tuple[Response, ResponseEvent]]:
    for rows, event in (
        (session.new, ResponseEvent.created),
        (session.dirty, ResponseEvent.updated),
        (session.deleted, ResponseEvent.deleted),
    ):
        for row in rows:
            changed = rows is not session.dirty or session.is_modified(row)
            if isinstance(row, Response) and changed:
                yield row, event


def _set_status(session: Session, record_id: UUID) -> bool:
    """Give a record the status that its answers make; False if it was deleted with them."""
    wanted = (
        select(_RECORDS.c.status, _DATASETS.c.distribution)
        .join(_DATASETS, _DATASETS.c.id == _RECORDS.c.dataset_id)
        .where(_RECORDS.c.id == record_id)
        # Of two people who answer at once, the second to come here sees the answer of the first.
        .with_for_update(of=_RECORDS, key_share=True)
    )
    record = session.execute(wanted).first()
    if record is None:
        return False
    submitted = session.scalar(
        select(func.count())
        .select_from(_RESPONSES)
        .where(_RESPONSES.c.record_id == record_id, _RESPONSES.c.status == ResponseStatus.submitted)
    )
    enough = submitted >= record.distribution["min_submitted"]
    status = RecordStatus.completed if enough else RecordStatus.pending
    if record.status != status:
        session.execute(update(_RECORDS).where(_RECORDS.c.id == record_id).values(status=status))
    return True
