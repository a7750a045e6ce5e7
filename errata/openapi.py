"""The OpenAPI document: bodies that routes read themselves, and every status that they answer with.

In: the application. Out: its document.
"""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from ingestion.bodies import BODY

ERRORS = {
    400: "The request is no HTTP that can be read.",
    401: "No key, or one that is not valid.",
    403: "The key's holder may not do this.",
    404: "There is no such thing.",
    409: "It does not fit what has happened meanwhile.",
    410: "It has expired, or was revoked or erased.",
    413: "The body is too large; `field` names the largest part.",
    422: "Something in the request does not fit; `field` names it.",
    429: "Too many; `Retry-After` says when to come again.",
    503: "A part that is needed does not answer; try again.",
}
READING = (400, 401, 403, 404, 422, 503)
WRITING = tuple(ERRORS)
ERROR = {
    "type": "object",
    "required": ["error", "detail"],
    "properties": {
        "error": {"type": "string", "description": "A closed word."},
        "detail": {"type": "string", "description": "A sentence that says what to do."},
        "field": {"type": "string", "description": "The path of what is wrong."},
    },
}
UNGUARDED = ("/healthz", "/readyz", "/v1/schemas")


def install(app: FastAPI) -> None:
    """Let the application publish the document that is made here."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document


def _document(app: FastAPI) -> dict[str, Any]:
    made = get_openapi(title=app.title, version="1", routes=app.routes)
    parts: dict[str, Any] = made.setdefault("components", {})
    schemas: dict[str, Any] = parts.setdefault("schemas", {})
    schemas["Error"] = ERROR
    parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, operations in made["paths"].items():
        for method, operation in operations.items():
            _complete(operation, schemas, guarded=path not in UNGUARDED, reads=method == "get")
    return made


def _complete(
    operation: dict[str, Any], schemas: dict[str, Any], *, guarded: bool, reads: bool
) -> None:
    named = operation.pop(BODY, None)
    if named is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _reference(named, schemas)}},
        }
    responses: dict[str, Any] = operation["responses"]
    if not guarded:
        return
    operation["security"] = [{"key": []}]
    for status in READING if reads else WRITING:
        responses[str(status)] = {
            "description": ERRORS[status],
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        }


def _reference(named: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """A reference to a value's schema, which is put among the document's with its parts."""
    schema = dict(named["schema"])
    schemas.update(schema.pop("$defs", {}))
    schemas[named["name"]] = schema
    return {"$ref": f"#/components/schemas/{named['name']}"}
