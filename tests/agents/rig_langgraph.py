"""LangChain's `create_agent` behind the middleware, with a checkpointer in a file."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import BaseTool, tool
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command

from errata import Agent, Client
from errata.agents.langchain import ErrataMiddleware
from errata.agents.langgraph import go_on
from tests.agents.effects import Call, Outcome, Turn, World
from tests.agents.rigs import Rig


class ScriptedModel(BaseChatModel):
    """Says its turns one after the other; where it stands it reads in the history."""

    script: list[Any]

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, *_tools: Any, **_options: Any) -> "ScriptedModel":
        return self

    def _generate(self, messages: list[BaseMessage], *_args: Any, **_options: Any) -> ChatResult:
        turn = self.script[sum(isinstance(one, AIMessage) for one in messages)]
        if isinstance(turn, str):
            said = AIMessage(turn)
        else:
            calls = [{"name": c.name, "args": c.arguments, "id": c.id} for c in turn]
            said = AIMessage("", tool_calls=calls)
        return ChatResult(generations=[ChatGeneration(message=said)])


def tools(world: World) -> list[BaseTool]:
    @tool
    def transfer(to: str, amount: float) -> str:
        """Send money."""
        return world.transfer(to, amount)

    @tool("transfer")
    def transfer_in(to: str, amount: float, currency: str = "EUR") -> str:
        """Send money."""
        return world.transfer(to, amount)

    @tool
    def look_up(name: str) -> str:
        """Find an account."""
        return world.look_up(name)

    return [transfer_in if world.currency else transfer, look_up]


def delegate(below: CompiledStateGraph[Any, Any, Any, Any]) -> BaseTool:
    @tool
    def delegate(task: str) -> str:
        """Let another agent do it."""
        state = below.invoke({"messages": [HumanMessage(task, id="user-1")]})
        return str(state["messages"][-1].content)

    return delegate


class LangGraphRig(Rig):
    saved = ("threads.db",)

    def _graph(
        self,
        client: Client,
        world: World,
        script: list[Turn],
        saver: SqliteSaver | None,
        levels: int = 1,
    ) -> CompiledStateGraph[Any, Any, Any, Any]:
        held = tools(world)
        if levels > 1:
            held = [delegate(self._graph(client, world, script, None, levels - 1))]
            script = [[Call("delegate", {"task": "pay"})], "paid"]
        agent = Agent(id="cfo", version=world.version)
        return create_agent(
            ScriptedModel(script=script),
            held,
            middleware=[ErrataMiddleware(client, agent, through={"delegate"})],
            checkpointer=saver,
        )

    def _go_on(
        self, world: World, script: list[Turn], thread: str, given: Any, levels: int = 1
    ) -> Outcome:
        with closing(connect(world)) as connection, Client(world.url, world.key) as client:
            graph = self._graph(client, world, script, SqliteSaver(connection), levels)
            given = given or go_on(graph, config(thread))
            return outcome(graph.invoke(given, config(thread)))

    def run(self, world: World, script: list[Turn], thread: str = "t1") -> Outcome:
        begun = {"messages": [HumanMessage("pay", id="user-1")]}
        return self._go_on(world, script, thread, begun)

    def resume(self, world: World, script: list[Turn], thread: str = "t1") -> Outcome:
        return self._go_on(world, script, thread, None)

    def mutate(self, world: World, arguments: dict[str, Any], thread: str = "t1") -> None:
        with closing(connect(world)) as connection, Client(world.url, world.key) as client:
            graph = self._graph(client, world, [], SqliteSaver(connection))
            said = graph.get_state(config(thread)).values["messages"][-1]
            said.tool_calls[0]["args"] = arguments
            graph.update_state(config(thread), {"messages": [said]})

    def forge(self, world: World, script: list[Turn], thread: str = "t1") -> Outcome:
        approval = {"decisions": [{"type": "approve"}], "approved": True, "outcome": "approve"}
        return self._go_on(world, script, thread, Command(resume=approval))

    def nested(self, world: World, script: list[Turn]) -> Outcome:
        begun = {"messages": [HumanMessage("pay", id="user-1")]}
        return self._go_on(world, script, "t1", begun, levels=3)

    def resume_nested(self, world: World, script: list[Turn]) -> Outcome:
        return self._go_on(world, script, "t1", None, levels=3)


def connect(world: World) -> sqlite3.Connection:
    path = Path(world.folder, "threads.db")
    return sqlite3.connect(path, check_same_thread=False, timeout=30)


def config(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}}


def outcome(state: dict[str, Any]) -> Outcome:
    waiting = [one.value["id"] for one in state.get("__interrupt__", ())]
    messages: list[BaseMessage] = state["messages"]
    told = [str(one.content) for one in messages if isinstance(one, ToolMessage)]
    return Outcome(waiting, told, None if waiting else str(messages[-1].content))


RIG = LangGraphRig()
