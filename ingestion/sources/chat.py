"""Read conversations of agents in the OpenAI chat format.

In: one conversation, `{"messages": [...], "tools"?, "id"?, ...}`. Out: one proposal of mode test
per tool call, whose `prompt` is the history before it.
"""

from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, ConfigDict

from errata import protocol
from errata.digest import fingerprint
from ingestion import bodies

AGENT = "chat"
"""The agent's id, which the format lacks."""

ROLES = {"developer": "system"}
"""Roles that the protocol knows by another name."""


class Call(NamedTuple):
    """A tool call, as an undecided proposal."""

    id: str
    """`<conversation>.<message>.<call>`, both counted from 0: tool-call ids may repeat."""
    proposal: protocol.Proposal


def _known(value: Any, model: type[protocol.Value]) -> Any:
    """Services add fields of their own, which say nothing here."""
    if not isinstance(value, dict):
        return value
    return {key: item for key, item in value.items() if key in model.model_fields}


def _call(value: Any) -> Any:
    call = _known(value, protocol.ToolCall)
    if isinstance(call, dict) and "function" in call:
        call["function"] = _known(call["function"], protocol.Action)
    return call


def _content(value: Any) -> Any:
    """Content may come in parts; those without text cannot be kept."""
    if not isinstance(value, list):
        return value
    texts = [part.get("text") if isinstance(part, dict) else None for part in value]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("content: only parts with text can be read")
    return "".join(text for text in texts if text is not None)


def _message(value: Any) -> Any:
    message = _known(value, protocol.Message)
    if isinstance(message, dict):
        message["role"] = ROLES.get(str(message.get("role")), message.get("role"))
        message["content"] = _content(message.get("content"))
        calls = message.get("tool_calls")
        message["tool_calls"] = [_call(call) for call in calls] if calls else None
    return message


def _text_id(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class _Conversation(protocol.Value):
    model_config = ConfigDict(extra="ignore")

    messages: tuple[Annotated[protocol.Message, BeforeValidator(_message)], ...]
    tools: tuple[protocol.JsonObject, ...] | None = None
    id: Annotated[protocol.Id | None, BeforeValidator(_text_id)] = None
    task_id: Annotated[protocol.Text | None, BeforeValidator(_text_id)] = None
    model: protocol.Text | None = None


def parse(value: dict[str, Any]) -> tuple[Call, ...]:
    """Read one conversation.

    A conversation without id gets the hash of the canonical line. Fields that the format's
    services add are passed over.

    Args:
        value: The line's JSON, checked by `lines.read`.

    Raises:
        Malformed: What is wrong, with the field's path from the top of the line.
    """
    conversation = bodies.validate(value, _Conversation)
    id_ = conversation.id or fingerprint(value).removeprefix("sha256:")
    return tuple(_calls(conversation, id_))


def _calls(conversation: _Conversation, id_: str) -> Iterator[Call]:
    for turn, message in enumerate(conversation.messages):
        for index, call in enumerate(message.tool_calls or ()):
            yield Call(
                f"{id_}.{turn}.{index}",
                protocol.Proposal(
                    hap="1",
                    kind="action",
                    mode="test",
                    agent=protocol.Agent(id=AGENT, model=conversation.model),
                    task_id=conversation.task_id,
                    group_id=id_,
                    run_id=id_,
                    prompt=conversation.messages[:turn],
                    tools=conversation.tools,
                    action=call.function,
                    message=message.content or None,
                ),
            )
