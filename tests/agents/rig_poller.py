"""Unchanged graphs of LangChain and LangGraph, with the poller beside them."""

import json
from collections.abc import Callable
from contextlib import closing
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

from errata import Agent, Client
from errata.agents.langgraph_poller import Poller
from tests.agents.effects import Call, Outcome, Turn, World
from tests.agents.rig_langgraph import ScriptedModel, config, connect, delegate, outcome, tools
from tests.agents.rigs import Rig

Graphs = Callable[[World, list[Turn], SqliteSaver | None, int], Any]


def _middleware(mode: Any) -> Graphs:
    def graph(world: World, script: list[Turn], saver: SqliteSaver | None, levels: int) -> Any:
        held = tools(world)
        if levels > 1:
            held = [delegate(graph(world, script, None, levels - 1))]
            script = [[Call("delegate", {"task": "pay"})], "paid"]
        return create_agent(
            ScriptedModel(script=script),
            held,
            middleware=[HumanInTheLoopMiddleware({"transfer": True}, interrupt_mode=mode)],
            checkpointer=saver,
        )

    return graph


def _inbox(world: World, script: list[Turn], saver: SqliteSaver | None, levels: int) -> Any:
    """A graph as they were written for the Agent Inbox: a node that asks and then acts."""
    held = {one.name: one for one in tools(world)}
    if levels > 1:
        held["delegate"] = delegate(_inbox(world, script, None, levels - 1))
        script = [[Call("delegate", {"task": "pay"})], "paid"]
    model = ScriptedModel(script=script)

    def say(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    def act(state: MessagesState) -> dict[str, Any]:
        said = state["messages"][-1]
        assert isinstance(said, AIMessage)
        gated = [one for one in said.tool_calls if one["name"] == "transfer"]
        answers = iter(interrupt([_human_interrupt(one) for one in gated]) if gated else [])
        return {"messages": [_acted(one, answers) for one in said.tool_calls]}

    def _acted(call: Any, answers: Any) -> ToolMessage:
        given: Any = next(answers) if call["name"] == "transfer" else {"type": "accept"}
        match given["type"]:
            case "accept":
                content = held[call["name"]].invoke(call["args"])
            case "edit":
                content = held[given["args"]["action"]].invoke(given["args"]["args"])
            case _:
                content = given["args"] or "ignored"
        return ToolMessage(content, tool_call_id=call["id"], name=call["name"])

    def after(state: MessagesState) -> str:
        said = state["messages"][-1]
        return "act" if isinstance(said, AIMessage) and said.tool_calls else END

    graph = StateGraph(MessagesState)
    graph.add_node("say", say)
    graph.add_node("act", act)
    graph.add_edge(START, "say")
    graph.add_conditional_edges("say", after)
    graph.add_edge("act", "say")
    return graph.compile(checkpointer=saver)


def _human_interrupt(call: Any) -> dict[str, Any]:
    allowed = dict.fromkeys(("allow_ignore", "allow_respond", "allow_edit", "allow_accept"), True)
    request = {"action": call["name"], "args": call["args"]}
    return {"action_request": request, "config": allowed, "description": "Please look"}


class PollerRig(Rig):
    saved = ("threads.db",)

    def __init__(self, graphs: Graphs, exempt: dict[int, str] | None = None) -> None:
        self._graphs = graphs
        self.exempt = {
            5: "the graph is unchanged and believes whoever resumes it: use the middleware",
            **(exempt or {}),
        }

    def _step(
        self, world: World, script: list[Turn], thread: str, given: Any, levels: int = 1
    ) -> Outcome:
        with closing(connect(world)) as connection, Client(world.url, world.key) as client:
            graph = self._graphs(world, script, SqliteSaver(connection), levels)
            if given is not None:
                graph.invoke(given, config(thread))
            poller = Poller(graph, client, Agent(id="cfo", version=world.version))
            waiting = [one.id for one in poller.step(thread)]
            state = graph.get_state(config(thread))
            return outcome(state.values)._replace(
                waiting=waiting, said=None if waiting else str(state.values["messages"][-1].content)
            )

    def run(self, world: World, script: list[Turn], thread: str = "t1") -> Outcome:
        begun = {"messages": [HumanMessage("pay", id="user-1")]}
        return self._step(world, script, thread, begun)

    def resume(self, world: World, script: list[Turn], thread: str = "t1") -> Outcome:
        return self._step(world, script, thread, None)

    def mutate(self, world: World, arguments: dict[str, Any], thread: str = "t1") -> None:
        with closing(connect(world)) as connection:
            graph = self._graphs(world, [], SqliteSaver(connection), 1)
            said = graph.get_state(config(thread)).values["messages"][-1]
            said.tool_calls[0]["args"] = arguments
            graph.update_state(config(thread), {"messages": [said]})

    def forge(self, world: World, script: list[Turn], thread: str = "t1") -> Outcome:
        return self._step(world, script, thread, Command(resume=json.loads('{"decisions": []}')))

    def nested(self, world: World, script: list[Turn]) -> Outcome:
        begun = {"messages": [HumanMessage("pay", id="user-1")]}
        return self._step(world, script, "t1", begun, levels=3)

    def resume_nested(self, world: World, script: list[Turn]) -> Outcome:
        return self._step(world, script, "t1", None, levels=3)


BATCHED = PollerRig(
    _middleware("batched"),
    {
        3: "the poller does not go on (alarm, unknown), but whoever invokes the thread again runs "
        "its tools again: use the middleware"
    },
)
PER_CALL = PollerRig(_middleware("per_call"))
INBOX = PollerRig(_inbox)
