"""Nobody answers for another person. In: Argilla's policies and bulk routes. Out: stricter ones.

An approval is worth what its name is worth. Argilla lets an owner or admin change or delete
anybody's answer in place, and push records with answers in anybody's name. The labelers' own
routes take the author from the log-in, so they need nothing.
"""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any
from uuid import UUID

from argilla_server.api.policies.v1 import ResponsePolicy
from argilla_server.errors import ForbiddenOperationError
from argilla_server.models import Response, User
from sqlalchemy import exists, select

from errata_argilla.hardening.endpoints import routes

_REFUSAL = "An answer can be given, changed or deleted only by the person it is from"


def protect() -> None:
    """Refuse every write to an answer that is not the writer's own."""
    ResponsePolicy.update = _only_by_author
    ResponsePolicy.delete = _only_by_author
    for route in routes(path="/datasets/{dataset_id}/records/bulk"):
        route.dependant.call = _without_others(route.dependant.call)
    for route in routes(path="/users/{user_id}", method="DELETE"):
        route.dependant.call = _unless_answered(route.dependant.call)


def _only_by_author(response: Response) -> Callable[[User], Awaitable[bool]]:
    async def is_author(actor: User) -> bool:
        return actor.id == response.user_id

    return is_author


def _without_others(push: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @wraps(push)
    async def push_own(*, current_user: User, **given: Any) -> Any:
        bulk = given.get("records_bulk_create") or given["records_bulk_upsert"]
        authors = {answer.user_id for item in bulk.items for answer in item.responses or []}
        if authors - {current_user.id}:
            raise ForbiddenOperationError(_REFUSAL)
        return await push(current_user=current_user, **given)

    return push_own


def _unless_answered(delete: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Keep a person whose answers would go with them; without a workspace they can do nothing."""

    @wraps(delete)
    async def delete_unanswered(*, user_id: UUID, current_user: User, **given: Any) -> Any:
        if user_id != current_user.id and current_user.is_owner:
            theirs = select(exists().where(Response.user_id == user_id))
            if await given["db"].scalar(theirs):
                raise ForbiddenOperationError(
                    "This person's answers would be deleted; take them out of the workspace instead"
                )
        return await delete(user_id=user_id, current_user=current_user, **given)

    return delete_unanswered
