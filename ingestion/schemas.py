"""Checking arguments and answers against the JSON Schema of a tool or question.

In: a JSON Schema and a value. Out: nothing, or an error that names the field.
"""

from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match
from referencing import Registry

from errata.errors import Malformed


def problem(schema: dict[str, Any]) -> str | None:
    """What is wrong with a JSON Schema itself, if anything is."""
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as broken:
        return f"the JSON Schema is not valid: {broken.message[:500]}"
    return None


def check(schema: dict[str, Any], value: Any, field: str) -> None:
    """Refuse a value that does not fit.

    References to other documents are never fetched: a proposal must not make the server open
    addresses.

    Args:
        schema: JSON Schema 2020-12.
        value: What to check.
        field: Where the value stands, for the error.

    Raises:
        Malformed: It does not fit, or the schema is none.
    """
    wrong = problem(schema)
    if wrong is not None:
        raise Malformed(wrong, field=field)
    try:
        validator = Draft202012Validator(schema, registry=Registry())
        error = best_match(validator.iter_errors(value))
    except Exception as broken:
        # referencing raises several types for a reference that leads nowhere
        raise Malformed(
            f"the JSON Schema cannot be used: {str(broken)[:500]}", field=field
        ) from broken
    if error is not None:
        raise Malformed(error.message[:500], field=field + error.json_path.removeprefix("$"))
