"""Make a database ready. In: the owner's credentials. Out: tables, the owner, the workspace.

Running it again changes nothing, except that the owner's API key follows the environment: the
supervisor signs its own requests with it.
"""

import asyncio
import logging

from alembic import command
from alembic.config import Config
from argilla_server import database
from argilla_server.api.schemas.v1.users import UserCreate
from argilla_server.contexts import accounts
from argilla_server.database import ALEMBIC_CONFIG_FILE, AsyncSessionLocal, async_engine
from argilla_server.models import User, Workspace, WorkspaceUser
from argilla_server.settings import settings
from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from errata_argilla import discretion
from errata_argilla.environment import Misconfigured, Owner
from errata_argilla.looks import table as looks
from errata_argilla.search import wordbook
from errata_argilla.webhooks import outbox

_LOGGER = logging.getLogger("errata_argilla")


def run(owner: Owner) -> None:
    """Migrate, then create what is missing."""
    discretion.keep()
    _migrate()
    asyncio.run(_fill(owner))


def _migrate() -> None:
    url = database.database_url_sync()
    # Alembic's configuration takes % as the start of a placeholder, which an escaped password has.
    database.database_url_sync = lambda: url.replace("%", "%%")
    try:
        command.upgrade(Config(ALEMBIC_CONFIG_FILE), "head")
    finally:
        database.database_url_sync = lambda: url


async def _fill(owner: Owner) -> None:
    if settings.database_is_sqlite:
        async with async_engine.connect() as connection:
            # Readers must not stop the writer: a search would otherwise make an answer wait.
            await connection.execute(text("PRAGMA journal_mode = WAL"))
    async with async_engine.begin() as connection:
        await connection.run_sync(outbox.create)
        await connection.run_sync(looks.create)
        await connection.run_sync(wordbook.create)
    await _read_records()
    async with AsyncSessionLocal() as session, session.begin():
        workspace = await _workspace(session, owner.workspace)
        user = await _user(session, owner)
        if not await WorkspaceUser.get_by(session, workspace_id=workspace.id, user_id=user.id):
            session.add(WorkspaceUser(workspace_id=workspace.id, user_id=user.id))
    await async_engine.dispose()


async def _read_records() -> None:
    """Write down the words of records that were here before us, some at a time."""
    last: int | None = 0
    while last is not None:
        async with async_engine.begin() as connection:
            last = await connection.run_sync(wordbook.catch_up, last)


async def _workspace(session: AsyncSession, name: str) -> Workspace:
    workspace = await Workspace.get_by(session, name=name)
    if workspace is None:
        workspace = Workspace(name=name)
        session.add(workspace)
        await session.flush()
    return workspace


async def _user(session: AsyncSession, owner: Owner) -> User:
    user = await User.get_by(session, username=owner.username)
    if user is None:
        user = User(**_checked(owner), password_hash=accounts.hash_password(owner.password))
        session.add(user)
    elif not user.is_owner:
        raise Misconfigured(f"user {owner.username!r} exists and is not an owner")
    elif user.api_key != owner.api_key:
        _LOGGER.warning("the API key of user %r follows the environment", owner.username)
    user.api_key = owner.api_key
    await session.flush()
    return user


def _checked(owner: Owner) -> dict[str, str]:
    try:
        UserCreate(
            first_name=owner.username,
            username=owner.username,
            role="owner",
            password=owner.password,
        )
    except ValidationError as problem:
        wrong = {".".join(map(str, error["loc"])): error["msg"] for error in problem.errors()}
        # The error itself would quote the password.
        raise Misconfigured(f"the owner's credentials are refused: {wrong}") from None
    return {"first_name": owner.username, "username": owner.username, "role": "owner"}
