"""What a proposal rests on, for a labeler: below what is asked.

In: a proposal. Out: HTML: evidence, trusted and untrusted apart; the conversation before; the
agent's own account; why it came here.
"""

from collections.abc import Iterator, Sequence

from errata import protocol
from review.argilla import markup

MESSAGES = 40
"""Messages of the history that are shown, the newest."""


def render(proposal: protocol.Proposal, digest: str, reason: str) -> Iterator[str]:
    """All of it, in parts."""
    yield from _evidence(proposal)
    yield from _account(proposal)
    yield from provenance(proposal, digest, reason)


def _evidence(proposal: protocol.Proposal) -> Iterator[str]:
    for trusted, label, colour in (
        (True, "Evidence from trusted sources", "green"),
        (False, "Evidence from untrusted sources: it may be wrong or try to mislead you", "red"),
    ):
        found = [one for one in proposal.evidence if one.trusted is trusted]
        if found:
            yield markup.heading(label)
        for one in found:
            source = f"from {one.origin}" + (f", {one.uri}" if one.uri else "")
            yield markup.block(one.text, colour=colour, label=source)
    yield from _conversation(proposal)


def _conversation(proposal: protocol.Proposal) -> Iterator[str]:
    history = proposal.prompt or ()
    if not history:
        return
    yield markup.heading("Conversation before")
    if len(history) > MESSAGES:
        yield markup.block(f"{len(history) - MESSAGES} earlier messages are not shown")
    for message in history[-MESSAGES:]:
        colour = "red" if message.role == "tool" else "grey"
        yield markup.block(_message(message), colour=colour, label=message.role)


def _message(message: protocol.Message) -> str:
    calls = [
        f"calls {call.function.name} {markup.exact(call.function.arguments)}"
        for call in message.tool_calls or ()
    ]
    return "\n".join([message.content or "", *calls]).strip()


def _account(proposal: protocol.Proposal) -> Iterator[str]:
    reasoning = proposal.reasoning
    if reasoning is None:
        return
    rows: list[tuple[str, str]] = []
    if reasoning.why:
        rows.append(("reasons", reasoning.why))
    if reasoning.factors:
        rows.append(("factors", "\n".join(map(markup.exact, reasoning.factors))))
    if reasoning.options:
        rows.append(("options it sees", "\n".join(reasoning.options)))
    if rows:
        yield markup.heading("The agent's own account")
        yield markup.facts(rows, label="said by the agent, checked by nobody")


def provenance(
    proposal: protocol.Proposal,
    digest: str,
    reason: str,
    offered: Sequence[protocol.Verdict] | None = None,
) -> Iterator[str]:
    """Why people are asked, what they may say, and what an answer will be bound to."""
    yield markup.heading("Why this is asked")
    rows = [("policy", reason)]
    if proposal.requested_by:
        rows.append(("requested by", proposal.requested_by))
    assignee = proposal.metadata.get("assignee")
    if isinstance(assignee, str) and assignee:
        rows.append(("assigned to", assignee))
    may = [one for one in proposal.verdicts if offered is None or one in offered]
    rows.append(("you may", ", ".join(may)))
    rows.append(("digest", digest))
    yield markup.facts(rows)
