"""Where a call stands, and what the model is told about it.

In: a ticket. Out: whether its call waits, may run, or is answered without running. Pure.
"""

from threading import Lock
from typing import Any, NamedTuple

from pydantic import ConfigDict, TypeAdapter

from errata.protocol import Action, Permit, Ticket

JSON = TypeAdapter(dict[str, Any], config=ConfigDict(ser_json_inf_nan="constants"))
"""Arguments as JSON; NaN stays what it is and is refused, where pydantic would make it null."""
SETTLED: frozenset[str] = frozenset({"executed", "failed", "unknown", "undone"})
"""Statuses after a run."""


class Turn:
    """The right to run a call whose permit has been used for it; it is taken once.

    A wrapper that repeats a call, such as a retry, comes to the body again with the same right.
    """

    def __init__(self) -> None:
        self._lock = Lock()

    def take(self) -> bool:
        """Whether it was there to be taken."""
        return self._lock.acquire(blocking=False)


class Waiting(NamedTuple):
    """Nobody has decided."""

    ticket: Ticket


class Ready(NamedTuple):
    """It may run, once, in this version."""

    ticket: Ticket
    permit: Permit
    action: Action
    note: str | None
    """What the model is to be told before the result, where a person changed the call."""
    begun: Turn | None = None
    """Where its permit has been used for this run already: run it, or `abandon` it."""


class Done(NamedTuple):
    """It has run before, or never will: what the model is told in place of the tool's result."""

    text: str
    ok: bool
    ticket: Ticket | None = None
    """None where the call could not even be asked for."""
    result: Any = None
    """What the tool returned, where it has run and that was kept."""


Standing = Waiting | Ready | Done


def standing(ticket: Ticket, name: str) -> Standing:
    """What is to be done about a call.

    Args:
        ticket: Of the call.
        name: The tool that is about to run; a decision about another runs nothing.
    """
    decision = ticket.decision
    if decision is None:
        return Waiting(ticket)
    begun = ticket.status == "executing" and ticket.begun is True
    if ticket.status in SETTLED or (ticket.status == "executing" and not begun):
        return told(ticket)
    action = decision.effective.action
    if ticket.permit is None or action is None:
        text = decision.corrective_prompt or f"Not run: {decision.outcome}, {decision.reason}."
        return Done(text, ok=False, ticket=ticket)
    if action.name != name:
        text = f"Not run: the decision is about the tool {action.name!r}, not {name!r}."
        return Done(text, ok=False, ticket=ticket)
    return Ready(ticket, ticket.permit, action, notice(ticket), Turn() if begun else None)


def notice(ticket: Ticket) -> str | None:
    """What the model is told before the result of a call that a person changed."""
    decision = ticket.decision
    if decision is None or decision.outcome != "edit" or decision.effective.action is None:
        return None
    version = JSON.dump_json(decision.effective.action.arguments).decode()
    return (
        "A person changed this call before it ran. It ran with these arguments, not with yours: "
        f"{version}. Do not make your call again."
    )


def told(ticket: Ticket) -> Done:
    """What came of a call that was begun before; it is not begun again."""
    receipt = ticket.receipt
    note = f"{said}\n" if (said := notice(ticket)) else ""
    match ticket.status:
        case "undone" if receipt is None:
            text = (
                "It was approved, and the approval was taken back before it ran. It has not run; "
                "do not make the call again."
            )
            return Done(text, ok=False, ticket=ticket)
        case "executed" | "undone" if receipt is not None and receipt.result is not None:
            return Done(note + as_text(receipt.result), True, ticket, receipt.result)
        case "executed" | "undone":
            return Done(f"{note}It has run. What it returned was not kept.", True, ticket)
        case "failed":
            why = receipt.error if receipt is not None and receipt.error else "no reason was kept"
            return Done(f"{note}It ran and failed: {why}", False, ticket)
        case "executing":
            text = (
                "Another process has begun this call and has not said what came of it. It is not "
                "run again; do not repeat the call."
            )
            return Done(text, ok=False, ticket=ticket)
        case _:
            text = (
                "Whether this call took effect is not known: its process ended before it could "
                "say. It is not run again. A person is looking into it; do not repeat the call."
            )
            return Done(text, ok=False, ticket=ticket)


def as_text(result: Any) -> str:
    """A result as models read it: text as it is, other JSON written out."""
    if isinstance(result, str):
        return result
    return TypeAdapter(Any).dump_json(result).decode()
