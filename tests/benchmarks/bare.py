"""The least that a server can do with a proposal: store it. What ours is measured against.

In: JSON. Out: one row in the SQLite file that `BARE_DATABASE` names.
"""

import os
from typing import Annotated, Any

from fastapi import Body, Depends, FastAPI
from sqlalchemy import JSON, Column
from sqlmodel import Field, Session, SQLModel

from errata.db import Database


class Row(SQLModel, table=True):
    """A stored body."""

    id: int | None = Field(default=None, primary_key=True)
    body: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))


database = Database(f"sqlite:///{os.environ['BARE_DATABASE']}")
SQLModel.metadata.create_all(database.engine, tables=[SQLModel.metadata.tables["row"]])
app = FastAPI()


def _session() -> Any:
    with database.transaction() as session:
        yield session


@app.post("/rows", status_code=201)
def store(
    body: Annotated[dict[str, Any], Body()], session: Annotated[Session, Depends(_session)]
) -> dict[str, Any]:
    """Store a body; its number."""
    row = Row(body=body)
    session.add(row)
    session.flush()
    return {"id": row.id}
