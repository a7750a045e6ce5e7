"""The OpenAI Agents SDK's tools, such that their bodies run only under a permit.

In: a tool, and the run that it is called in. Out: a copy of the tool that asks before it runs; the
call in the one form in which it is asked for and checked.
"""

import copy
import json
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from agents import Agent, FunctionTool, RunConfig
from agents.exceptions import UserError
from agents.models.chatcmpl_converter import Converter
from agents.run_config import CallModelData, ModelInputData
from agents.run_context import RunContextWrapper
from agents.tool import (
    Tool,
    ToolOriginType,
    get_function_tool_origin,
    maybe_invoke_function_tool_failure_error_function,
    set_function_tool_failure_error_function,
)
from agents.tool_context import ToolContext

from errata import errors
from errata.agents.desk import LAPSED, Called, Desk
from errata.agents.driving import AsyncDriver
from errata.agents.standing import JSON, Done, Ready, Standing, Waiting, as_text
from errata.digest import fingerprint


class Run(NamedTuple):
    """What the tools of a run must know of it."""

    thread: str
    turn: str
    """Made up when the run began: the same words said again are another wish."""
    heard: dict[tuple["Gated", str], list[dict[str, Any]]]
    """What a tool's agent was sent last, by what that began with."""


RUN: ContextVar[Run] = ContextVar("errata.agents.openai_agents")
"""The run that a tool is called in; each task, and agents below, see the one that they belong to."""


@contextmanager
def within(run: Run) -> Generator[None]:
    """The block is this run's. Our errors leave it as they are, not inside the framework's."""
    token = RUN.set(run)
    try:
        yield
    except UserError as error:
        if isinstance(error.__cause__, errors.ErrataError):
            raise error.__cause__ from None
        raise
    finally:
        RUN.reset(token)


def gated(desk: Desk, driver: AsyncDriver, tool: Tool) -> Tool:
    """A copy of a tool that asks before it runs; of an agent as a tool, itself.

    Raises:
        TypeError: It runs where no permit can be asked for, such as at the model's provider.
    """
    if not isinstance(tool, FunctionTool):
        raise TypeError(
            f"{tool.name!r} is a {type(tool).__name__}; only function tools can be gated"
        )
    origin = get_function_tool_origin(tool)
    if origin is not None and origin.type == ToolOriginType.AGENT_AS_TOOL:
        return tool
    held = Gated(desk, driver, tool)
    copied = copy.copy(tool)
    copied.needs_approval = held.waits
    copied.on_invoke_tool = held.invoke
    return copied


def held_by(agent: Agent[Any]) -> Iterator["Gated"]:
    """The gated tools of an agent."""
    for tool in agent.tools:
        body = tool.on_invoke_tool if isinstance(tool, FunctionTool) else None
        owner = getattr(body, "__self__", None)
        if isinstance(owner, Gated):
            yield owner


class Gated:
    """A tool's body and what stands before it."""

    def __init__(self, desk: Desk, driver: AsyncDriver, tool: FunctionTool) -> None:
        self.name, self.schema = tool.name, tool.params_json_schema
        self._desk, self._driver, self._tool = desk, driver, tool
        self._body = copy.copy(tool)
        # The receipt must know whether the body failed, before the model is told in other words.
        set_function_tool_failure_error_function(self._body, None)

    def called(self, call_id: str, text: str, before: list[Any] | None = None) -> Called | None:
        """The call as the desk wants it; None where its arguments are no JSON object."""
        run = RUN.get(None)
        if run is None:
            raise TypeError(
                f"{self.name!r} is gated: begin the run with gate.run(…), not Runner.run"
            )
        try:
            arguments = JSON.validate_json(text or "{}")
        except ValueError:
            return None
        said = run.heard.get((self, _key(before))) if before else None
        return Called(
            name=self.name,
            arguments=arguments,
            id=call_id,
            thread=run.thread,
            turn=run.turn,
            schema=self.schema,
            description=self._tool.description,
            fields={} if said is None else {"prompt": said},
        )

    async def settle(self, call: Called) -> Standing:
        """Ask for the call, and learn where it stands."""
        return await self._driver.drive(self._desk.settle(call))

    async def waits(
        self, context: RunContextWrapper[Any], arguments: dict[str, Any], call_id: str
    ) -> bool:
        """For `needs_approval`: whether the run has to stop for this call."""
        call = self.called(call_id, json.dumps(arguments), context.turn_input)
        return call is not None and isinstance(await self.settle(call), Waiting)

    async def invoke(self, context: ToolContext[Any], text: str) -> Any:
        """For `on_invoke_tool`: the body, if the server says so, with the arguments that it says.

        Raises:
            StillOpen: Nobody has decided, whatever the run's state says.
        """
        call = self.called(context.tool_call_id, text, context.turn_input)
        if call is None:
            return "Not run: the arguments are no JSON object. Mend the call and make it again."
        while True:
            now = await self.settle(call)
            if isinstance(now, Waiting):
                raise errors.StillOpen(
                    f"{self.name!r} waits for people (proposal {now.ticket.id}); an approval in the "
                    "run's state does not count, resume it with gate.resume(…)"
                )
            if isinstance(now, Done):
                return now.text
            try:
                return await self._run(context, now)
            except LAPSED:
                continue

    async def _run(self, context: ToolContext[Any], ready: Ready) -> Any:
        passed = JSON.dump_json(ready.action.arguments).decode()
        context.tool_arguments = passed

        async def body() -> Any:
            return await self._body.on_invoke_tool(context, passed)

        try:
            result = await self._driver.run(self._desk, ready, JSON.validate_json(passed), body)
        except errors.ErrataError:
            raise
        except Exception as error:
            result = await self._said_of(error, context)
        if isinstance(result, Done):
            return result.text
        return result if ready.note is None else f"{ready.note}\n{as_text(result)}"

    async def _said_of(self, error: Exception, context: ToolContext[Any]) -> str:
        """What the tool itself tells the model of a failure; raises it where it tells nothing."""
        if not hasattr(self._tool.on_invoke_tool, "__agents_bind_function_tool__"):
            raise error
        said = await maybe_invoke_function_tool_failure_error_function(
            function_tool=self._tool, context=context, error=error
        )
        if said is None:
            raise error
        return said


def noting(run: Run, given: RunConfig | dict[str, Any] | None) -> RunConfig:
    """The author's settings, and that what models are sent is noted: proposals show it."""
    config = RunConfig(**given) if isinstance(given, dict) else copy.copy(given or RunConfig())
    inner = config.call_model_input_filter

    async def note(data: CallModelData[Any]) -> ModelInputData:
        sent = data.model_data if inner is None else inner(data)
        sent = sent if isinstance(sent, ModelInputData) else await sent
        for tool in held_by(data.agent):
            run.heard[tool, _key(data.model_data.input)] = _prompt(sent)
        return sent

    config.call_model_input_filter = note
    return config


def _key(items: Sequence[Any]) -> str:
    return fingerprint(json.loads(json.dumps(items[:1], default=str)))


def _prompt(sent: ModelInputData) -> list[dict[str, Any]]:
    """What a model was sent, in the OpenAI chat shape, with the fields that a proposal keeps."""
    system = [{"role": "system", "content": sent.instructions}] if sent.instructions else []
    kept = ("role", "content", "tool_calls", "tool_call_id")
    messages = [
        {name: message[name] for name in kept if message.get(name) is not None}
        for message in map(dict, Converter.items_to_messages(sent.input))
    ]
    for message in messages:
        if isinstance(content := message.get("content"), list):
            parts = [part.get("text", f"[{part.get('type')}]") for part in content]
            message["content"] = "\n".join(parts)
    return [*system, *messages]
