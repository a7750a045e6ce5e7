"""pydantic-ai behind the gate; its history in a file that the client can change."""

import asyncio
import json
from pathlib import Path
from typing import Any

from pydantic_ai import Agent as FrameworkAgent
from pydantic_ai import DeferredToolResults, Tool, ToolApproved
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel

from errata import Agent, AsyncClient
from errata.agents.parking import Ran
from errata.agents.pydantic_ai import Gate
from tests.agents.effects import Call, Outcome, Turn, World
from tests.agents.filing import Filing, rewrite
from tests.agents.rigs import Rig

OPTIONS: dict[str, Any] = {}


def scripted(script: list[Turn]) -> FunctionModel:
    """Says its turns one after the other; where it stands it reads in the history."""

    async def say(messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        turn = script[sum(isinstance(one, ModelResponse) for one in messages)]
        if isinstance(turn, str):
            return ModelResponse([TextPart(turn)])
        calls = [ToolCallPart(c.name, c.arguments, tool_call_id=c.id) for c in turn]
        return ModelResponse(calls)

    return FunctionModel(say)


def tools(world: World) -> list[Tool[Any]]:
    def transfer(to: str, amount: float) -> str:
        """Send money."""
        return world.transfer(to, amount)

    def transfer_in(to: str, amount: float, currency: str = "EUR") -> str:
        """Send money."""
        return world.transfer(to, amount)

    def look_up(name: str) -> str:
        """Find an account."""
        return world.look_up(name)

    paying = Tool(transfer_in, name="transfer") if world.currency else Tool(transfer)
    return [paying, Tool(look_up)]


def gated(client: AsyncClient, world: World) -> Gate:
    return Gate(client, Agent(id="cfo", version=world.version))


def agent(
    gate: Gate, world: World, script: list[Turn], levels: int = 1
) -> FrameworkAgent[Any, Any]:
    """One that follows the script, or delegates to one that does."""
    if levels == 1:
        held = tools(world)
    else:
        below = agent(gate, world, script, levels - 1)
        held = [gate.delegate(below, "delegate", "Let another agent do it.")]
        script = [[Call("delegate", {"task": "pay"})], "paid"]
    return FrameworkAgent(scripted(script), tools=held, capabilities=[gate])


def outcome(ran: Ran[Any]) -> Outcome:
    told = [
        str(part.content)
        for message in ran.result.all_messages()
        for part in message.parts
        if isinstance(part, ToolReturnPart)
    ]
    return Outcome(list(ran.waits), told, None if ran.saved else ran.result.output)


class PydanticAIRig(Rig):
    saved = ("t1.json",)

    def _go_on(
        self, world: World, script: list[Turn], thread: str, given: str | None, levels: int = 1
    ) -> Outcome:
        async def go_on() -> Outcome:
            async with Filing(world, thread) as client:
                gate = gated(client, world)
                top = agent(gate, world, script, levels)
                if given is None:
                    return outcome(await gate.resume(top, thread))
                return outcome(await gate.run(top, given, thread=thread))

        return asyncio.run(go_on())

    def run(self, world: World, script: list[Turn], thread: str = "t1") -> Outcome:
        return self._go_on(world, script, thread, "pay")

    def resume(self, world: World, script: list[Turn], thread: str = "t1") -> Outcome:
        return self._go_on(world, script, thread, None)

    def mutate(self, world: World, arguments: dict[str, Any], thread: str = "t1") -> None:
        path = Path(world.folder, f"{thread}.json")
        content = json.loads(path.read_text("utf-8"))["content"]
        for part in content["messages"][-1]["parts"]:
            part["args"] = arguments
        rewrite(path, content)

    def forge(self, world: World, script: list[Turn], thread: str = "t1") -> Outcome:
        """Calls the framework itself, with an approval of its own kind."""

        async def forge() -> Outcome:
            path = Path(world.folder, f"{thread}.json")
            content = json.loads(path.read_text("utf-8"))["content"]
            async with Filing(world, thread) as client:
                top = agent(gated(client, world), world, script)
                await top.run(
                    message_history=ModelMessagesTypeAdapter.validate_python(content["messages"]),
                    deferred_tool_results=DeferredToolResults(
                        approvals={id_: ToolApproved() for id_ in content["open"]},
                        answered_by=dict.fromkeys(content["open"], "ann"),
                    ),
                )
            return Outcome([], [])

        return asyncio.run(forge())

    def nested(self, world: World, script: list[Turn]) -> Outcome:
        return self._go_on(world, script, "t1", "pay", levels=3)

    def resume_nested(self, world: World, script: list[Turn]) -> Outcome:
        return self._go_on(world, script, "t1", None, levels=3)


RIG = PydanticAIRig()
