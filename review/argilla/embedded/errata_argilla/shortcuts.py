"""Work left out because its result is always the same. In: Argilla's models. Out: faster ones.

Argilla builds pydantic's validator for question and metadata settings anew each time it reads
them: once for every suggestion and every metadata value of every record that is pushed. It writes
the suggestions of a push as one statement of its own length, which SQLAlchemy compiles anew each
time. And it packs each response tightly, which on one machine takes longer than sending it. Most
of the time a push took went there. (Events nobody listens for are left out in
`webhooks.interception`.)
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from argilla_server.api.schemas.v1.questions import QuestionSettings
from argilla_server.models import MetadataProperty, Question
from argilla_server.models.metadata_properties import MetadataPropertySettings
from argilla_server.models.mixins import CRUDMixin
from brotli_asgi import BrotliMiddleware
from pydantic import TypeAdapter
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.applications import Starlette

_QUESTION = TypeAdapter(QuestionSettings)
_METADATA = TypeAdapter(MetadataPropertySettings)
_INSERT = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}

QUICK = 1
"""Brotli's lowest effort; Argilla asks for 7."""


def take() -> None:
    """Read settings with validators that are built once, and write rows apart from their SQL.

    The settings themselves are read again each time, so a changed question is never stale.
    """
    Question.parsed_settings = property(lambda self: _QUESTION.validate_python(self.settings))
    MetadataProperty.parsed_settings = property(
        lambda self: _METADATA.validate_python(self.settings)
    )
    CRUDMixin.upsert_many = classmethod(_upsert_many)


def pack_lightly(app: Starlette) -> None:
    """Compress responses with little effort."""
    for layer in app.user_middleware:
        if layer.cls is BrotliMiddleware:
            layer.kwargs["quality"] = QUICK


async def _upsert_many(
    table: Any,
    db: AsyncSession,
    objects: Sequence[Any],
    constraints: list[Any],
    autocommit: bool = True,
) -> list[Any]:
    """Insert rows, or update those that exist, as Argilla's own method does."""
    if not objects:
        raise ValueError("Cannot upsert empty list of objects")
    rows = [each if isinstance(each, dict) else each.model_dump() for each in objects]
    insert = _INSERT[db.bind.dialect.name](table)
    changes = {column: insert.excluded[column] for column in table.__upsertable_columns__ or ()}
    if hasattr(table, "updated_at"):
        changes["updated_at"] = datetime.now(UTC).replace(tzinfo=None)
    upsert = insert.on_conflict_do_update(index_elements=constraints, set_=changes)
    written = await db.execute(
        upsert.returning(table), rows, execution_options={"populate_existing": True}
    )
    if autocommit:
        await db.commit()
    return list(written.scalars().all())
