"""Stored texts as light values, without validating them again.

In: JSON that was validated when it came in. Out: values with the attributes of the protocol's own,
made at a thirtieth of the cost. They are for reading: none of the methods are there.
"""

from collections.abc import Callable
from functools import cache
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin

import msgspec

from errata import protocol

Value = TypeVar("Value", bound=protocol.Value)


def reader(
    model: type[Value], unread: frozenset[str] = frozenset()
) -> Callable[[str | bytes], Value]:
    """What reads the JSON of a model, as `Value.model_dump(mode="json")` wrote it.

    Args:
        model: The model.
        unread: Fields that stay JSON, each a `msgspec.Raw` where it is stated: they are large and
            the same in many values, and who wants one reads it once.

    Raises, when called:
        msgspec.DecodeError: It is no JSON, or not that of the model.
    """
    return cast(Callable[[str | bytes], Value], msgspec.json.Decoder(light(model, unread)).decode)


@cache
def light(
    model: type[protocol.Value], unread: frozenset[str] = frozenset()
) -> type[msgspec.Struct]:
    """A struct with the fields of a model, their names, types and defaults; see `reader`."""
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for name, field in model.model_fields.items():
        kind = msgspec.Raw if name in unread else _plain(field.annotation)
        if field.is_required():
            fields.append((name, kind))
        elif field.default_factory is not None:
            factory = cast(Callable[[], Any], field.default_factory)
            fields.append((name, kind, msgspec.field(default_factory=factory)))
        else:
            fields.append((name, kind, field.default))
    # No cycles among these, so the collector need not look at them.
    return msgspec.defstruct(model.__name__, fields, frozen=True, kw_only=True, gc=False)


def _plain(kind: Any) -> Any:
    """A type without the checks of pydantic."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _plain(inner[0])
    if origin in (Union, UnionType):
        return Union[tuple(map(_plain, inner))]  # noqa: UP007 - built at run time
    if origin in (tuple, list, dict):
        generic = cast(Any, origin)
        return generic[tuple(item if item is ... else _plain(item) for item in inner)]
    if isinstance(kind, type) and issubclass(kind, protocol.Value):
        return light(kind)
    return kind
