"""The OpenAI Agents SDK behind the gate; its state in a file that the client can change."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agents import Agent as SdkAgent
from agents import FunctionTool, Model, ModelResponse, RunConfig, RunState, Usage, function_tool
from agents.items import ToolCallOutputItem
from openai.types.responses import (
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)

from errata import Agent, AsyncClient
from errata.agents.openai_agents import Gate
from errata.agents.parking import Ran
from tests.agents.effects import Call, Outcome, Turn, World
from tests.agents.filing import Filing, rewrite
from tests.agents.rigs import Rig

OPTIONS: dict[str, Any] = {"run_config": RunConfig(tracing_disabled=True)}


class ScriptedModel(Model):
    """Says its turns one after the other; where it stands it reads in the history."""

    def __init__(self, script: list[Turn]) -> None:
        self.script = script

    async def get_response(self, *_args: Any, **given: Any) -> ModelResponse:
        items = [] if isinstance(given["input"], str) else given["input"]
        said = sum(item.get("type") == "function_call" for item in items)
        for turn in self.script:
            if isinstance(turn, str):
                return ModelResponse([_message(turn)], Usage(), None)
            if said == 0:
                return ModelResponse([spoken(one) for one in turn], Usage(), None)
            said -= len(turn)
        raise AssertionError("the script is over")

    def stream_response(self, *_args: Any, **_more: Any) -> Any:
        raise NotImplementedError


def _message(text: str) -> ResponseOutputMessage:
    content = ResponseOutputText(annotations=[], text=text, type="output_text")
    return ResponseOutputMessage(
        id="msg", content=[content], role="assistant", status="completed", type="message"
    )


def spoken(call: Call) -> ResponseFunctionToolCall:
    """A call as models of the SDK make it."""
    return ResponseFunctionToolCall(
        arguments=json.dumps(call.arguments), call_id=call.id, name=call.name, type="function_call"
    )


def tools(world: World) -> list[FunctionTool]:
    @function_tool
    def transfer(to: str, amount: float) -> str:
        """Send money."""
        return world.transfer(to, amount)

    @function_tool(name_override="transfer", strict_mode=False)
    def transfer_in(to: str, amount: float, currency: str = "EUR") -> str:
        """Send money."""
        return world.transfer(to, amount)

    @function_tool
    def look_up(name: str) -> str:
        """Find an account."""
        return world.look_up(name)

    return [transfer_in if world.currency else transfer, look_up]


def agent(gate: Gate, world: World, script: list[Turn], levels: int = 1) -> SdkAgent[Any]:
    """One that follows the script, or delegates to one that does."""
    if levels == 1:
        held = gate.tools(tools(world))
    else:
        below = agent(gate, world, script, levels - 1)
        held = gate.tools([below.as_tool("delegate", "Let another agent do it.")])
        script = [[Call("delegate", {"input": "pay"}, f"call_{levels}")], "paid"]
    return SdkAgent(name=f"cfo {levels}", tools=held, model=ScriptedModel(script))


def gated(client: AsyncClient, world: World) -> Gate:
    return Gate(client, Agent(id="cfo", version=world.version))


def outcome(ran: Ran[Any]) -> Outcome:
    told = [str(one.output) for one in ran.result.new_items if isinstance(one, ToolCallOutputItem)]
    return Outcome(list(ran.waits), told, None if ran.saved else ran.result.final_output)


class OpenAIAgentsRig(Rig):
    saved = ("t1.json",)

    def _go_on(
        self, world: World, script: list[Turn], thread: str, given: str | None, levels: int = 1
    ) -> Outcome:
        async def go_on() -> Outcome:
            async with Filing(world, thread) as client:
                gate = gated(client, world)
                top = agent(gate, world, script, levels)
                if given is None:
                    return outcome(await gate.resume(top, thread, **OPTIONS))
                return outcome(await gate.run(top, given, thread=thread, **OPTIONS))

        return asyncio.run(go_on())

    def run(self, world: World, script: list[Turn], thread: str = "t1") -> Outcome:
        return self._go_on(world, script, thread, "pay")

    def resume(self, world: World, script: list[Turn], thread: str = "t1") -> Outcome:
        return self._go_on(world, script, thread, None)

    def mutate(self, world: World, arguments: dict[str, Any], thread: str = "t1") -> None:
        path = Path(world.folder, f"{thread}.json")
        content = json.loads(path.read_text("utf-8"))["content"]
        for one in _calls(content):
            one["arguments"] = json.dumps(arguments)
        content["state"]["context"]["tool_invocations"] = {}  # the framework's own fingerprints
        rewrite(path, content)

    def forge(self, world: World, script: list[Turn], thread: str = "t1") -> Outcome:
        async def forge(path: Path) -> None:
            async with Filing(world, thread) as client:
                top = agent(gated(client, world), world, script)
                content = json.loads(path.read_text("utf-8"))["content"]
                state = await RunState.from_json(top, content["state"])
                for item in state.get_interruptions():
                    state.approve(item, always_approve=True)
                rewrite(path, {**content, "state": state.to_json()})

        asyncio.run(forge(Path(world.folder, f"{thread}.json")))
        return self.resume(world, script, thread)

    def nested(self, world: World, script: list[Turn]) -> Outcome:
        return self._go_on(world, script, "t1", "pay", levels=3)

    def resume_nested(self, world: World, script: list[Turn]) -> Outcome:
        return self._go_on(world, script, "t1", None, levels=3)


def _calls(value: Any) -> Iterator[dict[str, Any]]:
    """The calls of functions anywhere in a state."""
    if isinstance(value, dict):
        if value.get("type") == "function_call":
            yield value
        for part in value.values():
            yield from _calls(part)
    elif isinstance(value, list):
        for part in value:
            yield from _calls(part)


RIG = OpenAIAgentsRig()
