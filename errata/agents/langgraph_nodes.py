"""LangGraph's own nodes: functions that they call wait in an interrupt and run under a permit.

In: a client, functions that nodes call. Out: the same functions, gated. A node is run again from its
start when it is resumed; calls that ran before return what they returned.

    transfer = gated(client, "cfo")(transfer)
"""

from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeVar

from langgraph.config import get_config
from langgraph.types import interrupt

from errata import errors
from errata.agents.desk import LAPSED, Called, Desk
from errata.agents.driving import Driver
from errata.agents.functions import kept
from errata.agents.langgraph import asked
from errata.agents.standing import JSON, Done, Waiting
from errata.client import Client
from errata.digest import canonical
from errata.gate import Gate, dress
from errata.protocol import Agent

Function = TypeVar("Function", bound=Callable[..., Any])

_MADE: ContextVar[tuple[str, Counter[bytes]] | None] = ContextVar("_MADE", default=None)
"""The calls that a node has made in this run of it; every run has a context of its own."""


def gated(client: Client, agent: str | Agent, **fields: Any) -> Callable[[Function], Function]:
    """A decorator for functions that nodes call, in graphs with a checkpointer.

    Args:
        client: Of an agent's key.
        agent: Who calls.
        fields: Fields of every proposal.

    Raises:
        Refused: From a call that may not run; carries the decision.
        RanBefore: From a call that has failed before, or of which nobody knows.
    """
    desk, driver = Desk(agent, **fields), Driver(client)

    def decorate(function: Function) -> Function:
        gate = Gate.around(function, desk.agent, {})
        return dress(function, partial(_call, desk, driver, gate))

    return decorate


def _call(desk: Desk, driver: Driver, gate: Gate, /, *args: Any, **kwargs: Any) -> Any:
    call = _called(gate, args, kwargs)
    while True:
        now = driver.drive(desk.settle(call, at_once=True))
        if isinstance(now, Waiting):
            interrupt(asked(now.ticket, call))
            continue
        if isinstance(now, Done):
            return kept(gate, now)
        try:
            given = gate.arguments(now.action)
        except errors.Malformed:
            driver.drive(desk.abandon(now))
            raise
        passed = JSON.dump_python(given, mode="json")
        try:
            result = driver.run(desk, now, passed, partial(gate.function, **given))
        except LAPSED:
            continue
        return kept(gate, result) if isinstance(result, Done) else result


def _called(gate: Gate, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Called:
    """A call, told apart from the same call before it in this run of the node."""
    action = gate.ask(args, kwargs).action
    assert action is not None
    where = get_config().get("configurable", {})
    # The task's name in it stays the same however often the node is run from this checkpoint.
    place = f"{where.get('thread_id')}|{where.get('checkpoint_ns')}"
    nth = _count(place, canonical([gate.name, action.arguments]))
    return Called(
        name=gate.name,
        arguments=action.arguments,
        id=str(nth),
        thread=place,
        turn="node",
        schema=gate.schema,
        description=gate.function.__doc__,
    )


def _count(place: str, print_: bytes) -> int:
    made = _MADE.get()
    if made is None or made[0] != place:
        made = place, Counter[bytes]()
        _MADE.set(made)
    made[1][print_] += 1
    return made[1][print_]
