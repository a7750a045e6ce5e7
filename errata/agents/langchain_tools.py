"""LangChain's tools, such that their bodies run only under a permit.

In: a tool and what is to happen around its body. Out: a copy of the tool; its arguments as JSON in
the one form in which they are asked for and checked.
"""

import functools
from collections.abc import Awaitable, Callable
from typing import Any, cast

from langchain_core.tools import BaseTool
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from errata import errors

Body = Callable[[], Any]
Around = Callable[[dict[str, Any], Body], Any]
"""Gets the arguments that the body is about to use, as JSON, and the body."""
AsyncAround = Callable[[dict[str, Any], Callable[[], Awaitable[Any]]], Awaitable[Any]]

FRAMEWORK = frozenset({"run_manager", "config", "callbacks"})
"""What a body is handed by LangChain itself."""


def schema(tool: BaseTool) -> dict[str, Any]:
    """The JSON Schema of what the model may pass."""
    model = _model(tool)
    stated = tool.tool_call_schema
    if model is None:
        assert isinstance(stated, dict)
        return stated
    return model.model_json_schema()


def arguments(tool: BaseTool, given: dict[str, Any]) -> dict[str, Any]:
    """A call's arguments as JSON, in the types that the tool will use.

    Raises:
        ValidationError: They do not fit the tool; its body would never be reached.
    """
    model = _model(tool)
    if model is None:
        return _as_json(given)
    checked = model.model_validate(given)
    return _as_json({name: getattr(checked, name) for name in checked.model_fields_set})


def guard(tool: BaseTool, approved: dict[str, Any], around: Around) -> BaseTool:
    """A copy of a tool whose body goes through `around`, for threads."""
    body = tool._run  # pyright: ignore[reportPrivateUsage] - the one method a tool must have

    @functools.wraps(body)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        return around(_received(tool, args, kwargs, approved), lambda: body(*args, **kwargs))

    return _with(tool, "_run", guarded)


def aguard(tool: BaseTool, approved: dict[str, Any], around: AsyncAround) -> BaseTool:
    """A copy of a tool whose body goes through `around`, for event loops."""
    body = tool._arun  # pyright: ignore[reportPrivateUsage]

    @functools.wraps(body)
    async def guarded(*args: Any, **kwargs: Any) -> Any:
        received = _received(tool, args, kwargs, approved)
        return await around(received, lambda: body(*args, **kwargs))

    return _with(tool, "_arun", guarded)


def shut(tool: BaseTool) -> BaseTool:
    """A copy of a tool whose body cannot be reached."""

    def refuse(*_args: Any, **_kwargs: Any) -> Any:
        raise errors.Malformed(f"{tool.name}: what was asked for is not what came; nothing has run")

    return _with(_with(tool, "_run", refuse), "_arun", refuse)


def _with(tool: BaseTool, name: str, method: Callable[..., Any]) -> BaseTool:
    copied = tool.model_copy()
    # An entry of the instance comes before the method of its class.
    vars(copied)[name] = method
    return copied


def _received(
    tool: BaseTool, args: tuple[Any, ...], kwargs: dict[str, Any], approved: dict[str, Any]
) -> dict[str, Any]:
    """The model's arguments as the body has them; what the tool itself filled in is left out."""
    if args:
        raise TypeError(f"{tool.name}: a gated tool takes named arguments only")
    model = _model(tool)
    if model is None:
        injected = FRAMEWORK | tool._injected_args_keys  # pyright: ignore[reportPrivateUsage]
        return _as_json({name: value for name, value in kwargs.items() if name not in injected})
    return _as_json(
        {
            name: kwargs[name]
            for name, field in model.model_fields.items()
            if name in kwargs and (name in approved or not _is_default(field, kwargs[name]))
        }
    )


def _is_default(field: FieldInfo, value: Any) -> bool:
    return field.default_factory is not None or (not field.is_required() and value == field.default)


def _model(tool: BaseTool) -> type[BaseModel] | None:
    """The tool's arguments as a pydantic model; None where it states a JSON Schema."""
    stated = tool.tool_call_schema
    if isinstance(stated, dict):
        return None
    if not issubclass(stated, BaseModel):
        raise TypeError(f"{tool.name}: its arguments are a model of pydantic 1; make it one of 2")
    return stated


def _as_json(values: dict[str, Any]) -> dict[str, Any]:
    return cast(dict[str, Any], TypeAdapter(dict[str, Any]).dump_python(values, mode="json"))
