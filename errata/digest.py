"""Canonical JSON and the digest that binds an approval to bytes.

In: JSON values, a proposal's body. Out: RFC 8785 bytes, `sha256:` digests.
"""

import hashlib
import json
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from errata.protocol import (
    DEEPEST,
    LARGEST_INTEGER,
    Action,
    Effective,
    Kind,
    Proposal,
    check_json,
)

NO_POLICY = "sha256:" + "0" * 64
"""Stands where no policy applied (imported history)."""


def canonical(value: Any) -> bytes:
    """Serialize to canonical JSON (RFC 8785, JSON Canonicalization Scheme).

    Args:
        value: A JSON value.

    Returns:
        UTF-8 bytes: no white space, keys by UTF-16 code units, numbers as ECMAScript writes them.

    Raises:
        ValueError: NaN, infinities, integers past 2**53-1, lone surrogates, types JSON lacks.
    """
    try:
        return to_json(_plain(value, 0))
    except (_OddError, PydanticSerializationError):  # the latter: a lone surrogate, refused below
        check_json(value, depth=-DEEPEST)  # what was taken at the border may stand inside more here
        return _write(value).encode()


class _OddError(Exception):
    """A value that a common encoder would not write as RFC 8785 asks."""


def _plain(value: Any, depth: int) -> Any:
    """The value, such that a common encoder writes it as RFC 8785 asks.

    Sorted by code point, which for ASCII is the order of UTF-16; whole doubles as integers. The
    other numbers are written as ECMAScript does but for very large and very small ones. Nearly
    every value can be written so, at a tenth of the cost.

    Raises:
        _OddError: It is not so.
    """
    kind = type(value)
    if kind in _SIMPLE:
        return value
    if kind is int and -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
        return value
    if kind is float and 1e-4 <= abs(value) < 1e15:
        return int(value) if value.is_integer() else value
    if depth == DEEPEST:
        raise _OddError
    if kind is dict:
        return {key: _plain(value[key], depth + 1) for key in sorted(map(_plain_key, value))}
    if kind is list or kind is tuple:
        return [_plain(item, depth + 1) for item in value]
    raise _OddError


def _plain_key(key: Any) -> str:
    if type(key) is not str or not key.isascii():
        raise _OddError
    return key


_SIMPLE = frozenset({str, bool, type(None)})


def _write(value: Any) -> str:
    if isinstance(value, dict):
        keys = sorted(value, key=_utf16)
        return "{" + ",".join(f"{_write(key)}:{_write(value[key])}" for key in keys) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_write(item) for item in value) + "]"
    if isinstance(value, float):
        return _number(value)
    # For strings Python escapes exactly what RFC 8785 section 3.2.2.2 asks for.
    return json.dumps(value, ensure_ascii=False)


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be")


def _number(value: float) -> str:
    """A double as ECMAScript's Number::toString writes it (ECMA-262, section 6.1.6.1.20)."""
    if value == 0:
        return "0"  # also for -0.0
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    point = len(whole) + int(exponent or 0)
    digits = (whole + fraction).lstrip("0")
    point -= len(whole + fraction) - len(digits)
    digits = digits.rstrip("0")
    sign = "-" if value < 0 else ""
    if len(digits) <= point <= 21:
        return sign + digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{tail}e{point - 1:+d}"


def fingerprint(value: Any) -> str:
    """`sha256:` and the hex SHA-256 of the value's canonical JSON."""
    return "sha256:" + hashlib.sha256(canonical(value)).hexdigest()


def schema_digest(schema: dict[str, Any] | None) -> str | None:
    """S of the digest: the fingerprint of a tool's JSON Schema, or None without one."""
    return None if schema is None else fingerprint(schema)


def stated_schema(proposal: Proposal, name: str) -> dict[str, Any] | None:
    """The JSON Schema that the proposal's own `tools` state for a tool, if any.

    Both the OpenAI form (`{"type": "function", "function": {"name", "parameters"}}`) and the bare
    form (`{"name", "parameters"}`) are read.
    """
    for tool in proposal.tools or ():
        function = tool.get("function", tool)
        if isinstance(function, dict) and function.get("name") == name:
            parameters = function.get("parameters")
            return parameters if isinstance(parameters, dict) else None
    return None


def action_body(action: Action) -> dict[str, Any]:
    """B of the digest for an action."""
    return {"action": {"name": action.name, "arguments": action.arguments}}


def body(proposal: Proposal) -> dict[str, Any]:
    """B of the digest: the part of a proposal that an approval binds."""
    match proposal.kind:
        case "action":
            assert proposal.action is not None
            return action_body(proposal.action)
        case "draft" | "plan":
            return {"content": proposal.content}
        case "candidates":
            return {
                "candidates": [
                    {"id": c.id, "content": c.content}
                    if c.action is None
                    else {"id": c.id, **action_body(c.action)}
                    for c in proposal.candidates or ()
                ]
            }
        case "click":
            assert proposal.point is not None
            return {"point": {"x": proposal.point.x, "y": proposal.point.y}}
        case "question" | "exception":
            options = proposal.options
            return {
                "message": proposal.message,
                "options": None if options is None else [o.model_dump() for o in options],
                "response_schema": proposal.response_schema,
            }


def version_body(proposal: Proposal, version: Effective) -> dict[str, Any]:
    """B of the digest for a person's version; the proposal's own body where there is none."""
    if version.action is not None:
        return action_body(version.action)
    if version.point is not None:
        return {"point": {"x": version.point.x, "y": version.point.y}}
    if version.content is not None:
        return {"content": version.content}
    return body(proposal)


def digest(
    *,
    agent: str,
    kind: Kind,
    body: dict[str, Any],
    tool_schema: str | None,
    policy_version: str,
) -> str:
    """The digest of what a person is asked about and of what may run.

    Args:
        agent: The agent's id.
        kind: The proposal's kind.
        body: B, see `body`.
        tool_schema: S, see `schema_digest`.
        policy_version: P, the fingerprint of the parsed policy.

    Returns:
        `sha256:` and 64 hex digits.
    """
    return fingerprint(
        {
            "v": 1,
            "agent": agent,
            "kind": kind,
            "body": body,
            "tool_schema": tool_schema,
            "policy_version": policy_version,
        }
    )
