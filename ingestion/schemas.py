"""Checking arguments and answers against the JSON Schema of a tool or question.

In: a JSON Schema and a value. Out: nothing, or an error that names the field.
"""

from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match
from referencing import Registry

from errata.errors import Malformed


def check(schema: dict[str, Any], value: Any, field: str) -> None:
    """Refuse a value that does not fit.

    References to other documents are never fetched: a proposal must not make the server open
    addresses.

    Args:
        schema: JSON Schema, 2020-12 unless it says otherwise.
        value: What to check.
        field: Where the value stands, for the error.

    Raises:
        Malformed: It does not fit, or the schema is none.
    """
    try:
        Draft202012Validator.check_schema(schema)
        validator = Draft202012Validator(schema, registry=Registry())
        error = best_match(validator.iter_errors(value))
    except SchemaError as broken:
        raise Malformed(f"the JSON Schema is not valid: {broken.message}", field=field) from broken
    except Exception as broken:
        # referencing raises several types for a reference that leads nowhere
        raise Malformed(f"the JSON Schema cannot be used: {broken}", field=field) from broken
    if error is not None:
        raise Malformed(error.message[:500], field=field + error.json_path.removeprefix("$"))
