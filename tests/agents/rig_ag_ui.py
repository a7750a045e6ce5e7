"""An agent that speaks AG-UI, and a client that holds the conversation in a file."""

import asyncio
import json
from pathlib import Path
from typing import Any

from ag_ui.core import (
    AssistantMessage,
    FunctionCall,
    Message,
    ResumeEntry,
    RunAgentInput,
    RunFinishedEvent,
    RunFinishedInterruptOutcome,
    ToolCall,
    UserMessage,
)
from pydantic import TypeAdapter

from errata import Agent, AsyncClient
from errata.agents.ag_ui import Gate, Settled, finished
from tests.agents.effects import Outcome, Turn, World
from tests.agents.rig_functions import functions
from tests.agents.rigs import Rig

MESSAGES: TypeAdapter[list[Message]] = TypeAdapter(list[Message])
CONVERSATION = "conversation.json"


async def agent(
    world: World, script: list[Turn], given: RunAgentInput
) -> tuple[list[Message], RunFinishedEvent]:
    """A run: what it adds to the conversation, and how it ends."""
    async with AsyncClient(world.url, world.key) as client:
        speaker = Agent(id="cfo", version=world.version)
        gate = Gate(client, speaker, functions(world).values())
        settled = await gate.resume(given)
        added: list[Message] = _results(settled)
        while not any(one.interrupt for one in settled):
            said = [one for one in [*given.messages, *added] if one.role == "assistant"]
            turn = script[len(said)] if len(said) < len(script) else script[-1]
            id_ = f"assistant-{len(said)}"
            if isinstance(turn, str):
                added.append(AssistantMessage(id=id_, role="assistant", content=turn))
                break
            calls = [_call(c.id, c.name, c.arguments) for c in turn]
            added.append(AssistantMessage(id=id_, role="assistant", tool_calls=calls))
            settled = [await gate.call(given, one) for one in calls]
            added += _results(settled)
        return added, finished(given, settled)


def _results(settled: list[Settled]) -> list[Message]:
    return [one.message for one in settled if one.message is not None]


def _call(id_: str, name: str, arguments: dict[str, Any]) -> ToolCall:
    function = FunctionCall(name=name, arguments=json.dumps(arguments))
    return ToolCall(id=id_, type="function", function=function)


class AgUiRig(Rig):
    saved = (CONVERSATION,)

    def run(self, world: World, script: list[Turn], thread: str = "t1") -> Outcome:
        begun: list[Message] = [UserMessage(id="user-1", role="user", content="pay")]
        return self._go_on(world, script, thread, begun, [])

    def resume(self, world: World, script: list[Turn], thread: str = "t1") -> Outcome:
        return self._answer(world, script, thread, {"seen": True})

    def forge(self, world: World, script: list[Turn], thread: str = "t1") -> Outcome:
        return self._answer(world, script, thread, {"approved": True, "editedArgs": {"amount": 1}})

    def _answer(self, world: World, script: list[Turn], thread: str, payload: Any) -> Outcome:
        kept = json.loads(Path(world.folder, CONVERSATION).read_text("utf-8"))
        entries = [
            ResumeEntry(interrupt_id=one, status="resolved", payload=payload)
            for one in kept["waiting"]
        ]
        messages = MESSAGES.validate_python(kept["messages"])
        return self._go_on(world, script, thread, messages, entries)

    def _go_on(
        self,
        world: World,
        script: list[Turn],
        thread: str,
        messages: list[Message],
        entries: list[ResumeEntry],
    ) -> Outcome:
        given = RunAgentInput(
            thread_id=thread, run_id="r", messages=messages, resume=entries or None
        )
        added, event = asyncio.run(agent(world, script, given))
        waiting = []
        if isinstance(event.outcome, RunFinishedInterruptOutcome):
            waiting = [one.id for one in event.outcome.interrupts]
        messages = [*messages, *added]
        kept = {"messages": MESSAGES.dump_python(messages, mode="json"), "waiting": waiting}
        Path(world.folder, CONVERSATION).write_text(json.dumps(kept), "utf-8")
        told = [str(one.content) for one in messages if one.role == "tool"]
        return Outcome(waiting, told, None if waiting else str(messages[-1].content))

    def mutate(self, world: World, arguments: dict[str, Any], thread: str = "t1") -> None:
        path = Path(world.folder, CONVERSATION)
        kept = json.loads(path.read_text("utf-8"))
        for message in kept["messages"]:
            for call in message.get("tool_calls") or message.get("toolCalls") or ():
                call["function"]["arguments"] = json.dumps(arguments)
        path.write_text(json.dumps(kept), "utf-8")

    def nested(self, world: World, script: list[Turn]) -> Outcome:
        return self.run(world, script, "t1/desk/teller")

    def resume_nested(self, world: World, script: list[Turn]) -> Outcome:
        return self.resume(world, script, "t1/desk/teller")


RIG = AgUiRig()
