"""Who sees what. In: what Argilla's handlers return. Out: the part that is this person's to see.

Review is blind: an annotator who reads another's answer, or the mark of a planted mistake, is no
second opinion. Argilla's pages hide both; its API does not.
"""

from collections.abc import Awaitable, Callable, Iterator
from functools import wraps
from typing import Any
from uuid import UUID

from argilla_server.api.handlers.v1.datasets.records import _filter_record_metadata_for_user
from argilla_server.api.routes import api_v1
from argilla_server.api.schemas.v1.records import MetadataFilterScope, SearchRecordsQuery
from argilla_server.api.schemas.v1.records import Record as RecordSchema
from argilla_server.api.schemas.v1.users import User as UserSchema
from argilla_server.api.schemas.v1.users import Users
from argilla_server.errors.future import UnprocessableEntityError
from argilla_server.models import Dataset, MetadataProperty, Record, User
from argilla_server.security import auth
from fastapi import Security
from fastapi.routing import APIRoute
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from errata_argilla.hardening.endpoints import end_with, routes

_DESCRIPTIONS = frozenset({"/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc"})


def narrow() -> None:
    """Show everybody only what is theirs."""
    for route in routes(path="/records/{record_id}", method="GET"):
        end_with(route, _blind)
    for route in routes(path="/me/datasets/{dataset_id}/records/search"):
        route.dependant.call = _by_visible_metadata(route.dependant.call)
    for route in routes():
        if route.response_model in (UserSchema, Users) and not _shows_own_key(route):
            end_with(route, _without_keys)
    _close_descriptions()


async def _blind(record: Record, given: dict[str, Any]) -> Record | RecordSchema:
    person: User = given["current_user"]
    if not person.is_annotator:
        return record
    await _load_properties(given["db"], record.dataset_id)
    shown = RecordSchema.model_validate(record)
    shown.responses = [each for each in shown.responses or [] if each.user_id == person.id]
    shown.metadata = await _filter_record_metadata_for_user(record, person)
    return shown


async def _load_properties(session: AsyncSession, dataset_id: UUID) -> None:
    dataset = select(Dataset).where(Dataset.id == dataset_id)
    await session.execute(dataset.options(selectinload(Dataset.metadata_properties)))


def _by_visible_metadata(
    search: Callable[..., Awaitable[Any]],
) -> Callable[..., Awaitable[Any]]:
    """Refuse to filter and sort by what is hidden: the order alone would tell it."""

    @wraps(search)
    async def search_visible(*, body: SearchRecordsQuery, **given: Any) -> Any:
        person: User = given["current_user"]
        if names := set(_metadata_in(body)) if person.is_annotator else set():
            hidden = select(MetadataProperty).where(
                MetadataProperty.dataset_id == given["dataset_id"], MetadataProperty.name.in_(names)
            )
            for found in await given["db"].scalars(hidden):
                if person.role not in found.allowed_roles:
                    raise UnprocessableEntityError(
                        f"MetadataProperty not found filtering by name={found.name}"
                    )
        return await search(body=body, **given)

    return search_visible


def _metadata_in(body: SearchRecordsQuery) -> Iterator[str]:
    filters = (body.filters.and_ or []) if body.filters else []
    for part in [*filters, *(body.sort or [])]:
        if isinstance(part.scope, MetadataFilterScope):
            yield part.scope.metadata_property


def _shows_own_key(route: APIRoute) -> bool:
    """Tell the routes that may show a key: one's own, and once that of a person just created."""
    return route.path == "/me" or (route.path == "/users" and "POST" in route.methods)


async def _without_keys(result: Any, _given: dict[str, Any]) -> Any:
    """Blank API keys: with another's key an owner could answer in their name."""
    if isinstance(result, Users):
        for user in result.items:
            user.api_key = ""
        return result
    return UserSchema.model_validate(result).model_copy(update={"api_key": ""})


def _close_descriptions() -> None:
    open_routes = [route for route in api_v1.routes if route.path in _DESCRIPTIONS]
    for route in open_routes:
        api_v1.router.routes.remove(route)

    async def describe() -> dict[str, Any]:
        return api_v1.openapi()

    api_v1.add_api_route(
        "/openapi.json",
        describe,
        include_in_schema=False,
        dependencies=[Security(auth.get_current_user)],
    )
