"""What a gateway answers in place of a tool's result, and how results are kept in receipts.

In: tickets, results of the server behind. Out: results as hosts and models read them, with the
facts for programs under `errata` in the structured content.
"""

from typing import Any

from mcp_types import CallToolResult, TextContent
from pydantic import TypeAdapter, ValidationError

from errata.agents.standing import Done, notice
from errata.protocol import Ticket

AWAIT = "errata_await_decision"
LARGEST_KEPT = 1_000_000
"""Characters of JSON: larger results, pictures mostly, are returned once and not kept."""
KEPT = (
    "This call ran before and was not run again; this is what it returned then. If you want it to "
    "run once more, make it again."
)
RUNNING = (
    "This call is being run, or whoever ran it ended before saying what came of it. It is not run "
    f"again. Call {AWAIT} with its id later."
)
UNKNOWN = "It is not run again. A person is looking into it; do not repeat the call."


def told(text: str, ticket: Ticket | None = None, *, error: bool = True) -> CallToolResult:
    """An answer of ours. An error, since it is not what the tool promises to return."""
    facts = {"errata": stands(ticket)} if ticket else None
    return CallToolResult(
        content=[TextContent(text=text)], structured_content=facts, is_error=error
    )


def stands(ticket: Ticket) -> dict[str, Any]:
    """Where a ticket stands, for programs."""
    facts: dict[str, Any] = {"id": ticket.id, "status": ticket.status}
    if ticket.decision is not None:
        facts["outcome"] = ticket.decision.outcome
    elif ticket.estimated_wait_s is not None:
        facts["estimated_wait_s"] = ticket.estimated_wait_s
    return facts


def estimate(ticket: Ticket) -> str:
    """How long it may take, in words."""
    seconds = ticket.estimated_wait_s
    if seconds is None:
        return "It may take minutes or days."
    return f"About {max(round(seconds / 60), 1)} min is usual; it may take days."


def waits(ticket: Ticket) -> CallToolResult:
    """The answer while people think."""
    text = (
        f"Not run: this call waits for people under the id {ticket.id}. Nobody has decided yet. "
        f"{estimate(ticket)} Go on with other work, or end your turn and say what waits. Later "
        f"call {AWAIT} with this id, or make the same call again: it runs then, once and as "
        "approved."
    )
    return told(text, ticket)


def keepable(result: CallToolResult) -> dict[str, Any] | None:
    """A result as a receipt holds it; None where it is too large."""
    wire = result.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude={"meta", "result_type"}
    )
    return wire if len(TypeAdapter(Any).dump_json(wire)) <= LARGEST_KEPT else None


def kept(done: Done, promised: bool) -> CallToolResult:
    """The answer to a call that has run before, or never will.

    Args:
        done: What is known of it.
        promised: Whether the tool has an output schema: what does not fit it is an error then.
    """
    ticket = done.ticket
    if ticket is not None and ticket.status == "executing":
        return told(RUNNING, ticket)
    if ticket is not None and isinstance(done.result, dict):
        try:
            result = CallToolResult.model_validate(done.result)
        except ValidationError:
            pass  # kept by somebody else, in a form of theirs
        else:
            return noted(result, notice(ticket) or KEPT)
    return told(done.text, ticket, error=promised or not done.ok)


def noted(result: CallToolResult, note: str | None) -> CallToolResult:
    """A result, with what the model must know of it before."""
    if note is None:
        return result
    return result.model_copy(update={"content": [TextContent(text=note), *result.content]})


def text_of(result: CallToolResult) -> str:
    """What a result says in words."""
    return "\n".join(one.text for one in result.content if isinstance(one, TextContent))
