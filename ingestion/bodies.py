"""Request bodies: bounded, parsed and validated, with errors that name the field; answers.

In: raw bytes. Out: values of the protocol; responses.
"""

import hashlib
import json
from typing import Annotated, Any, NamedTuple, TypeVar

from fastapi import Depends, Request, Response
from pydantic import ValidationError

from errata.errors import Malformed, TooLarge
from errata.protocol import Value, check_json, once

V = TypeVar("V", bound=Value)

LARGEST = 8 * 1024 * 1024
"""Bytes of one proposal."""
READ_LIMIT = 4 * LARGEST
"""A body up to here is still read, to name the field that is too large."""
BATCH_LIMIT = 16 * LARGEST
"""Bytes of one batch."""
DEEPEST_PATH = 8
"""Steps of the path to a field that is too large; each costs a pass over the whole."""

BODY = "x-errata-body"
"""Where a route's part of the OpenAPI document names the value that it reads."""
LINES = {
    "requestBody": {
        "required": True,
        "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
    }
}
"""The part of a route that reads one JSON value a line."""


def described(model: type[Value]) -> dict[str, Any]:
    """For `openapi_extra` of a route that reads its body itself."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    return {BODY: {"name": model.__name__, "schema": schema}}


class Body(NamedTuple):
    """A request's body."""

    raw: bytes

    @property
    def hash(self) -> str:
        """For telling a repeated request from another one."""
        return hashlib.sha256(self.raw).hexdigest()


async def read(request: Request, limit: int) -> bytes:
    """Read a body up to a limit.

    Raises:
        TooLarge: It is longer.
    """
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise TooLarge(f"the body is over {limit:,} bytes", field="body")
        parts.append(part)
    return b"".join(parts)


async def _single(request: Request) -> Body:
    raw = await read(request, READ_LIMIT)
    if len(raw) > LARGEST:
        raise TooLarge(
            f"the body has {len(raw):,} bytes, at most {LARGEST:,} are taken", field=largest(raw)
        )
    return Body(raw)


async def _batch(request: Request) -> Body:
    return Body(await read(request, BATCH_LIMIT))


Single = Annotated[Body, Depends(_single)]
Batch = Annotated[Body, Depends(_batch)]


def answer(status_code: int, text: str) -> Response:
    """An answer that is JSON already; FastAPI would walk through all of it once more."""
    return Response(text, status_code, media_type="application/json")


def largest(raw: bytes) -> str:
    """The path of the largest field of a JSON object, as deep as one field holds over half."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return "body"
    path: list[str] = []
    while isinstance(value, dict) and value and len(path) < DEEPEST_PATH:
        sizes: dict[str, int] = {key: len(json.dumps(item)) for key, item in value.items()}
        key = max(sizes, key=sizes.__getitem__)
        if sizes[key] * 2 < sum(sizes.values()):
            break
        path.append(key)
        value = value[key]
    return ".".join(path) or "body"


def parse(raw: bytes | str, model: type[V]) -> V:
    """Parse one value.

    Args:
        raw: JSON.
        model: What it should be.

    Raises:
        Malformed: Not JSON, a key twice, what JSON cannot carry exactly, an unknown field, a
            value out of range; `field` says where.
    """
    value = load(raw)
    # Before the model looks at it: it could not even name a field with a lone surrogate.
    check(value)
    return validate(value, model)


def check(value: Any) -> None:
    """Refuse what JSON cannot carry exactly.

    Raises:
        Malformed: There is some; `field` says where.
    """
    try:
        check_json(value)
    except ValueError as error:
        raise Malformed(str(error), field=str(error).partition(":")[0]) from error


def load(raw: bytes | str) -> Any:
    """Parse JSON.

    Raises:
        Malformed: Not JSON in UTF-8, or a key twice.
    """
    try:
        text = raw.decode() if isinstance(raw, bytes) else raw
        return json.loads(text, object_pairs_hook=once)
    except ValueError as error:
        raise Malformed(f"not JSON: {error}", field="body") from error
    except RecursionError as error:
        raise Malformed("nested too deeply", field="body") from error


def validate(data: Any, model: type[V]) -> V:
    """Validate parsed JSON.

    Raises:
        Malformed: The first mistake, with its field.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise complaint(error) from error


def complaint(error: ValidationError) -> Malformed:
    """The first mistake that pydantic found, in our words."""
    first = error.errors(include_input=False, include_url=False)[0]
    path = ""
    for step in first["loc"]:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step)
    message = str(first["msg"]).removeprefix("Value error, ")
    if not path:
        # a rule over the whole value: the message begins with the field where there is one
        path = message.partition(":")[0]
    return Malformed(f"{path}: {message}" if path not in message else message, field=path)
