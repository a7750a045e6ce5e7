"""pydantic-ai's tools, such that their bodies run only under a permit.

In: a toolset. Out: the same toolset, whose calls are asked for first; a call in the one form in which
it is asked for and checked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_ai import ApprovalRequired, RunContext, ToolReturn
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.toolsets import ToolsetTool, WrapperToolset

from errata.agents.desk import LAPSED, RECORD, Called, Desk
from errata.agents.driving import AsyncDriver
from errata.agents.standing import JSON, Done, Ready, Waiting, as_text
from errata.digest import schema_digest

THROUGH = object()
"""In a tool's metadata: it hands work to another agent and does nothing itself. An object, so that
nothing that a tool's server writes is like it."""


@dataclass
class GatedToolset(WrapperToolset[Any]):
    """The tools of a toolset, each of which asks before it runs."""

    desk: Desk
    driver: AsyncDriver

    async def get_tools(self, ctx: RunContext[Any]) -> dict[str, ToolsetTool[Any]]:
        """The tools; one that has to be approved anyway is asked for here and nowhere else."""
        found = await super().get_tools(ctx)
        return {name: _ours(tool) for name, tool in found.items()}

    async def call_tool(
        self, name: str, tool_args: dict[str, Any], ctx: RunContext[Any], tool: ToolsetTool[Any]
    ) -> Any:
        """The tool's body, if the server says so, with the arguments that it says.

        Raises:
            ApprovalRequired: Nobody has decided, whatever approvals the run was given.
        """
        if (tool.tool_def.metadata or {}).get(RECORD) is THROUGH:
            return await super().call_tool(name, tool_args, ctx, tool)
        call = _called(name, tool_args, ctx, tool)
        while True:
            now = await self.driver.drive(self.desk.settle(call, at_once=True))
            if isinstance(now, Waiting):
                known = {"proposal": now.ticket.id, "tool": name, "schema": _digest(tool)}
                raise ApprovalRequired(metadata={RECORD: known})
            if isinstance(now, Done):
                return now.text
            try:
                return await self._run(now, call, tool_args, ctx, tool)
            except LAPSED:
                continue

    async def _run(
        self,
        ready: Ready,
        call: Called,
        asked: dict[str, Any],
        ctx: RunContext[Any],
        tool: ToolsetTool[Any],
    ) -> Any:
        approved = ready.action.arguments
        passed = asked
        if approved != call.arguments:
            try:
                passed = _validated(approved, ctx, tool)
            except ValidationError as error:
                return f"Not run: what was approved does not fit {call.name!r}: {error}"

        async def body() -> Any:
            return await WrapperToolset.call_tool(self, call.name, passed, ctx, tool)

        received = _arguments(passed, tool)
        result = await self.driver.run(self.desk, ready, received, body)
        if isinstance(result, Done):
            return result.text
        return result if ready.note is None else _noted(result, ready.note)


def _ours(tool: ToolsetTool[Any]) -> ToolsetTool[Any]:
    if tool.tool_def.kind != "unapproved":
        return tool
    return replace(tool, tool_def=replace(tool.tool_def, kind="function"))


def _digest(tool: ToolsetTool[Any]) -> str | None:
    return schema_digest(tool.tool_def.parameters_json_schema)


def _called(
    name: str, arguments: dict[str, Any], ctx: RunContext[Any], tool: ToolsetTool[Any]
) -> Called:
    before = _before(ctx.messages)
    return Called(
        name=name,
        arguments=_arguments(arguments, tool),
        id=ctx.tool_call_id or "",
        thread=ctx.conversation_id or "",
        turn=_turn(before),
        schema=tool.tool_def.parameters_json_schema,
        description=tool.tool_def.description,
        fields={"prompt": _prompt(before)},
    )


def _arguments(held: dict[str, Any], tool: ToolsetTool[Any]) -> dict[str, Any]:
    """Arguments as JSON, the way the model passes them.

    A tool of one argument that is a model shows the model's fields as its own.
    """
    given: Any = held
    if len(held) == 1:
        ((name, only),) = held.items()
        if isinstance(only, BaseModel) and name not in _properties(tool):
            given = only.model_dump(mode="json", exclude_unset=True)
    return JSON.dump_python(given, mode="json", exclude_unset=True)


def _validated(
    approved: dict[str, Any], ctx: RunContext[Any], tool: ToolsetTool[Any]
) -> dict[str, Any]:
    """Approved arguments in the tool's own types; what was left out the tool fills in itself.

    Raises:
        ValidationError: They do not fit.
    """
    found = tool.args_validator.validate_python(approved, context=ctx.validation_context)
    filled = _properties(tool) - approved.keys()
    return {name: value for name, value in found.items() if name not in filled}


def _properties(tool: ToolsetTool[Any]) -> set[str]:
    return set(tool.tool_def.parameters_json_schema.get("properties", {}))


def _noted(result: Any, note: str) -> Any:
    """A result, with what the model must know of it before."""
    if isinstance(result, ToolReturn):
        return replace(result, return_value=_noted(result.return_value, note))
    return f"{note}\n{as_text(result)}"


def _before(messages: Sequence[ModelMessage]) -> list[ModelMessage]:
    """What came before the response that makes the call."""
    last = max(n for n, one in enumerate(messages) if isinstance(one, ModelResponse))
    return list(messages[:last])


def _turn(before: Sequence[ModelMessage]) -> str:
    """When the user last said something; what tools add in the user's name does not count."""
    said = ""
    for message in before:
        if any(isinstance(part, ToolReturnPart) for part in message.parts):
            continue
        for part in message.parts:
            if isinstance(part, UserPromptPart):
                said = part.timestamp.isoformat()
    return said


def _prompt(before: Sequence[ModelMessage]) -> list[dict[str, Any]]:
    """The history in the OpenAI chat shape."""
    found: list[dict[str, Any]] = []
    for message in before:
        if isinstance(message, ModelRequest):
            found += [one for part in message.parts if (one := _message(part)) is not None]
        else:
            calls = [
                {
                    "id": call.tool_call_id,
                    "type": "function",
                    "function": {"name": call.tool_name, "arguments": call.args_as_json_str()},
                }
                for call in message.tool_calls
            ]
            spoken = {"role": "assistant", "content": message.text}
            found.append({**spoken, "tool_calls": calls} if calls else spoken)
    first = next((one for one in before if isinstance(one, ModelRequest)), None)
    if first is not None and first.instructions:
        found.insert(0, {"role": "system", "content": first.instructions})
    return found


def _message(part: Any) -> dict[str, Any] | None:
    match part:
        case SystemPromptPart():
            return {"role": "system", "content": part.content}
        case UserPromptPart():
            said = [part.content] if isinstance(part.content, str) else part.content
            texts = [one if isinstance(one, str) else f"[{type(one).__name__}]" for one in said]
            return {"role": "user", "content": "\n".join(texts)}
        case ToolReturnPart():
            told = part.model_response_str()
            return {"role": "tool", "content": told, "tool_call_id": part.tool_call_id}
        case _:
            return None
