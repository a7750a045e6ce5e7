"""Argilla's routes, after they were made. In: a path. Out: the same route with another ending.

FastAPI reads the function behind a route from `dependant.call` at each request, so a wrapper put
there sees what the handler was given and what it returned, before it is written as JSON.
"""

from collections.abc import Awaitable, Callable, Iterator
from functools import wraps
from typing import Any

from argilla_server.api.routes import api_v1
from fastapi.routing import APIRoute

Ending = Callable[[Any, dict[str, Any]], Awaitable[Any]]
"""Takes what a handler returned and what it was given; returns what the client gets."""


def routes(**wanted: str) -> Iterator[APIRoute]:
    """Find routes of the API by `path`, `method`, or both."""
    for route in api_v1.routes:
        if not isinstance(route, APIRoute):
            continue
        if wanted.get("path", route.path) != route.path:
            continue
        if wanted.get("method") in (None, *route.methods):
            yield route


def end_with(route: APIRoute, ending: Ending) -> None:
    """Let `ending` have the last word on a route."""
    call = route.dependant.call
    assert call is not None

    @wraps(call)
    async def ended(**given: Any) -> Any:
        return await ending(await call(**given), given)

    route.dependant.call = ended
