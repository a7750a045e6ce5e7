"""Answers the pending interrupts of an unchanged graph.

In: a compiled graph with a checkpointer and the id of a thread. Out: proposals for what it asks;
once all of them are decided, a resume, with the permits used just before. It reads the three forms
in which LangChain's agents ask: the batch of its human-in-the-loop middleware, one interrupt for
each call, and the older Agent Inbox.

The graph believes whoever resumes it, so this keeps nobody out who can write to its threads; the
middleware of `errata.agents.langchain` does.
"""

from datetime import UTC, datetime
from typing import Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.types import Command, StateSnapshot

from errata import errors
from errata.agents import versions
from errata.agents.desk import Called, Desk
from errata.agents.driving import Driver
from errata.agents.langgraph import messages_of, turn_of
from errata.agents.langgraph_forms import Asked, Question, answer, read
from errata.agents.standing import Ready, Standing, Waiting
from errata.client import Client
from errata.protocol import Agent, Receipt, Ticket

versions.require("langgraph")


BATCH_NODE = ".after_model"
"""How the node's name ends in which a middleware asks about a batch."""


class StateChanged(errors.Conflict):
    """The calls in the thread are not those that its interrupt asks about."""

    code = "state_changed"


class Poller:
    """Asks and answers for one graph.

    Args:
        graph: Compiled, with a checkpointer; it runs in threads.
        client: Of an agent's key.
        agent: Who calls.
        fields: Fields of every proposal.
    """

    def __init__(self, graph: Any, client: Client, agent: str | Agent, **fields: Any) -> None:
        self._graph = graph
        self._desk = Desk(agent, **fields)
        self._driver = Driver(client)

    def step(self, thread_id: str) -> list[Ticket]:
        """Ask about what a thread waits for; resume it where everything is decided.

        Returns:
            What is not decided yet; empty where the thread has nothing more to ask.

        Raises:
            Malformed: An interrupt is in none of the known forms; names its id.
            StateChanged: The thread's calls were changed while people thought.
        """
        config: RunnableConfig = {"configurable": {"thread_id": thread_id}}
        while True:
            state = self._graph.get_state(config)
            pending = [read(one) for one in state.interrupts]
            if not pending:
                return []
            _check_unchanged(state)
            settled = {one.id: self._settle(one, thread_id, state.values) for one in pending}
            waiting = [s.ticket for all_ in settled.values() for s in all_ if type(s) is Waiting]
            ready = [one for one in pending if not any(type(s) is Waiting for s in settled[one.id])]
            if not ready or not self._resume(config, ready, settled):
                return waiting

    def _settle(self, asked: Asked, thread: str, values: Any) -> list[Standing]:
        turn = turn_of(messages_of(values))
        return [
            self._driver.drive(self._desk.settle(_called(asked, place, thread, turn)))
            for place in range(len(asked.questions))
        ]

    def _resume(
        self, config: RunnableConfig, ready: list[Asked], settled: dict[str, list[Standing]]
    ) -> bool:
        """Use the permits and resume; False where another process does."""
        begun: list[Ready] = []
        for now in (one for asked in ready for one in settled[asked.id]):
            if isinstance(now, Ready) and not self._begin(now, begun):
                return False
        answers = {
            asked.id: answer(asked.form, list(zip(asked.questions, settled[asked.id], strict=True)))
            for asked in ready
        }
        started = datetime.now(UTC)
        try:
            after = self._graph.invoke(Command(resume=answers), config)
        except Exception as error:
            self._report(begun, "unknown", started, error=f"{type(error).__name__}: {error}")
            raise
        for one in begun:
            self._report([one], started=started, **_came_of(one, messages_of(after)))
        return True

    def _begin(self, ready: Ready, begun: list[Ready]) -> bool:
        """Use a permit; where that cannot be, those used before it are reported as not run."""
        patience = self._driver.client.patience
        try:
            done = self._driver.drive(self._desk.begin(ready, ready.action.arguments, patience))
        except errors.ErrataError as error:
            self._report(begun, "failed", datetime.now(UTC), error=f"did not run: {error.detail}")
            raise
        begun.append(ready)
        return done is None

    def _report(
        self,
        begun: list[Ready],
        status: Literal["executed", "failed", "unknown"],
        started: datetime,
        result: Any = None,
        error: str | None = None,
    ) -> None:
        for one in begun:
            told = Receipt(
                permit_id=one.permit.id,
                status=status,
                result=result,
                error=error,
                started_at=started,
                finished_at=datetime.now(UTC),
            )
            self._driver.client.report(told)


def _called(asked: Asked, place: int, thread: str, turn: str) -> Called:
    question: Question = asked.questions[place]
    said = {"message": question.description} if question.description else {}
    return Called(
        name=question.name,
        arguments=question.arguments,
        id=f"{asked.id}:{place}",
        thread=thread,
        turn=turn,
        schema=question.schema,
        fields={"allowed": question.verdicts, **said},
    )


def _check_unchanged(state: StateSnapshot) -> None:
    """Compare what a batch asks about with what its middleware is going to run: the thread's calls.

    Of the graphs inside a tool's body the outer thread does not tell; theirs are not compared.

    Raises:
        StateChanged: The two differ.
    """
    messages = messages_of(state.values)
    said = next((one for one in reversed(messages) if isinstance(one, AIMessage)), None)
    calls = [] if said is None else [(one["name"], one["args"]) for one in said.tool_calls]
    own = [one for task in state.tasks if task.name.endswith(BATCH_NODE) for one in task.interrupts]
    for one in own:
        for question in read(one).questions:
            if (question.name, question.arguments) not in calls:
                raise StateChanged(
                    f"interrupt {one.id} asks about {question.name!r} with other arguments than "
                    "the thread holds; nothing is resumed. Restore the thread or begin a new one.",
                    "args",
                )


def _came_of(ready: Ready, messages: list[BaseMessage]) -> dict[str, Any]:
    """What the conversation says of a call, for its receipt; without one the graph is believed."""
    proposal = ready.ticket.proposal
    asked = proposal.action.arguments if proposal and proposal.action else None
    ids = {
        call["id"]
        for one in messages
        if isinstance(one, AIMessage)
        for call in one.tool_calls
        if call["name"] == ready.action.name and call["args"] in (asked, ready.action.arguments)
    }
    results = [one for one in messages if isinstance(one, ToolMessage) and one.tool_call_id in ids]
    if not ids:
        return {"status": "executed"}
    if not results:
        return {"status": "unknown", "error": "the conversation holds no result of it"}
    if results[-1].status == "error":
        return {"status": "failed", "error": str(results[-1].content)}
    return {"status": "executed", "result": results[-1].content}
