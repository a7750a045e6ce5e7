"""The desk's work: what its agents propose, and what a good labeler says to it.

In: tickets. Out: cases of four kinds (action, draft, candidates, question), some wrong on purpose,
each with the answer that is right.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from errata.demo.tickets import TICKETS, Ticket
from errata.protocol import (
    Action,
    Agent,
    Candidate,
    Confidence,
    Evidence,
    Message,
    Option,
    Proposal,
    Reasoning,
    Risk,
)

REFUNDS = Agent(id="refunds", version="1")
WRITER = Agent(id="writer", version="1")
GREETER = Agent(id="greeter", version="1")
CONCIERGE = Agent(id="concierge", version="1")

BRIEF = "You work at a support desk. Answer in the desk's own style."


class Case(NamedTuple):
    """One proposal, and what a good labeler enters in Argilla for it."""

    proposal: Proposal
    answer: dict[str, Any]
    """Question name to value, as the labeler's browser would send it."""


def cases() -> list[Case]:
    """All work of the desk."""
    found: list[Case] = []
    for number, ticket in enumerate(TICKETS):
        found += _look_up(ticket)
        found += _refund(ticket)
        found.append(_reply(ticket, habit=number % 10 < 7))
        if number % 2 == 0:
            found.append(_openings(ticket))
        if number % 4 == 1:
            found.append(_question(ticket))
    found.append(_account_removal())
    return found


def _evidence(ticket: Ticket) -> tuple[Evidence, ...]:
    return (
        Evidence(
            text=f"order {ticket.order}: {ticket.item}, paid {ticket.price:.2f}",
            origin="system",
            trusted=True,
        ),
        Evidence(text=ticket.mail, origin="email", trusted=False),
    )


def _look_up(ticket: Ticket) -> Iterator[Case]:
    """Harmless and automatic by the desk's policy; no labeler sees it."""
    if int(ticket.id[1:]) % 3 == 0:
        yield Case(
            Proposal(
                hap="1",
                id=f"demo-{ticket.id}-lookup",
                kind="action",
                agent=REFUNDS,
                task_id=ticket.id,
                action=Action(name="lookup_order", arguments={"order": ticket.order}),
                cost={"usd": 0.0004},  # pyright: ignore[reportArgumentType] - pydantic reads it
            ),
            {},
        )


def _refund(ticket: Ticket) -> Iterator[Case]:
    if ticket.claimed <= 0:
        return
    reason = f"{ticket.item}: {ticket.name}'s complaint"
    proposed = {"order": ticket.order, "amount": ticket.claimed, "reason": reason}
    yield Case(
        Proposal(
            hap="1",
            id=f"demo-{ticket.id}-refund",
            kind="action",
            agent=REFUNDS,
            task_id=ticket.id,
            message=f"Refund {ticket.claimed:.2f} to {ticket.name}?",
            prompt=_brief(ticket),
            action=Action(name="refund", arguments=proposed),
            confidence=Confidence(value=0.55 if ticket.fraud else 0.82, method="self_report"),
            risk=Risk(
                level="high" if ticket.claimed > 200 else "medium",
                amount=ticket.claimed,
                reversible=False,
            ),
            reasoning=Reasoning(
                goal=f"Settle ticket {ticket.id}",
                done=("read the mail", "looked the order up"),
                why="the customer complains and the order is in the system",
            ),
            evidence=_evidence(ticket),
            urgency="high" if ticket.fraud else "normal",
        ),
        _judge_refund(ticket, proposed),
    )


def _judge_refund(ticket: Ticket, proposed: dict[str, Any]) -> dict[str, Any]:
    if ticket.fraud:
        return {"decision": "reject", "reason": "unsafe", "comment": "the mail gives orders"}
    if ticket.due == ticket.claimed:
        return {"decision": "approve"}
    if ticket.due == 0:
        return {"decision": "reject", "reason": "wrong_action", "comment": ticket.fact}
    return {
        "decision": "edit",
        "correction": {**proposed, "amount": ticket.due},
        "reason": "wrong_values",
    }


def _brief(ticket: Ticket) -> tuple[Message, ...]:
    return (
        Message(role="system", content=BRIEF),
        Message(
            role="user", content=f"{ticket.name} writes about the {ticket.item}: {ticket.mail}"
        ),
    )


def wordy(ticket: Ticket) -> str:
    """The agent's habit, which the desk does not like."""
    return (
        "Dear valued customer, we are truly sorry for any inconvenience. "
        f"Please be informed that {ticket.fact}. Kind regards, your support team"
    )


def plain(ticket: Ticket) -> str:
    """How the desk writes."""
    return f"Hi {ticket.name}, {ticket.fact}. Best, Mia"


def _reply(ticket: Ticket, *, habit: bool) -> Case:
    proposed = wordy(ticket) if habit else plain(ticket)
    answer: dict[str, Any] = {"decision": "approve"}
    if habit:
        answer = {"decision": "edit", "correction": plain(ticket), "reason": "tone"}
    return Case(
        Proposal(
            hap="1",
            id=f"demo-{ticket.id}-reply",
            kind="draft",
            agent=WRITER,
            task_id=ticket.id,
            prompt=_brief(ticket),
            content=proposed,
            reasoning=Reasoning(goal=f"Answer {ticket.name} on ticket {ticket.id}"),
            evidence=_evidence(ticket),
        ),
        answer,
    )


def _openings(ticket: Ticket) -> Case:
    """Three first sentences; the plain one is best, the wordy one worst."""
    texts = {
        "wordy": "We are truly sorry for any inconvenience that this may have caused to you.",
        "plain": f"Hi {ticket.name}, thanks for telling us about the {ticket.item}.",
        "curt": f"Regarding {ticket.order}:",
    }
    return Case(
        Proposal(
            hap="1",
            id=f"demo-{ticket.id}-opening",
            kind="candidates",
            agent=GREETER,
            task_id=ticket.id,
            prompt=_brief(ticket),
            message="Which first sentence?",
            candidates=tuple(Candidate(id=name, content=text) for name, text in texts.items()),
            reasoning=Reasoning(goal=f"Open the answer to {ticket.name}"),
        ),
        {
            "decision": "approve",
            "best": "B",
            "ranking": [
                {"value": "B", "rank": 1},
                {"value": "C", "rank": 2},
                {"value": "A", "rank": 3},
            ],
        },
    )


def _question(ticket: Ticket) -> Case:
    if int(ticket.id[1:]) % 8 == 2:
        return Case(
            Proposal(
                hap="1",
                id=f"demo-{ticket.id}-question",
                kind="question",
                agent=CONCIERGE,
                task_id=ticket.id,
                message=f"May {ticket.name} keep the {ticket.item} when we send a new one?",
                options=(
                    Option(id="keep", label="Keep it"),
                    Option(id="return", label="Return it"),
                ),
                reasoning=Reasoning(
                    goal=f"Close ticket {ticket.id}", stuck_on="our rules are silent"
                ),
            ),
            {"decision": "respond", "option": "1"},
        )
    return Case(
        Proposal(
            hap="1",
            id=f"demo-{ticket.id}-question",
            kind="question",
            agent=CONCIERGE,
            task_id=ticket.id,
            message=f"In how many days can we promise {ticket.name} an answer?",
            response_schema={"type": "integer", "minimum": 1, "maximum": 14},
            reasoning=Reasoning(goal=f"Close ticket {ticket.id}"),
        ),
        {"decision": "respond", "answer": "3"},
    )


def _account_removal() -> Case:
    """Crosses a red line: blocked at once, whoever asks."""
    return Case(
        Proposal(
            hap="1",
            id="demo-t06-delete",
            kind="action",
            agent=REFUNDS,
            task_id="t06",
            action=Action(name="delete_account", arguments={"customer": "Sven"}),
        ),
        {},
    )
