"""The desk's agents: each proposes its work, waits, and acts on what was decided.

In: cases, the SDK's client. Out: entries in the desk's ledger, one for each thing that was done.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from errata.async_client import AsyncClient
from errata.demo.desk import Case
from errata.errors import Conflict, Gone, Refused
from errata.protocol import Effective, Proposal, Ticket


class Ledger:
    """What the desk's tools did: refunds paid, mails sent. One line each, appended and flushed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def enter(self, proposal_id: str, version: Effective) -> dict[str, str]:
        """Do the thing; the line is what a bank or mail server would keep."""
        line = {
            "proposal": proposal_id,
            "at": datetime.now(UTC).isoformat(),
            "done": version.model_dump(mode="json", exclude_none=True),
        }
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        return {"entered": proposal_id}


async def work(
    client: AsyncClient,
    cases: Sequence[Case],
    ledger: Ledger,
    say: Callable[[str], None],
) -> None:
    """Propose everything, then act on each decision as it comes."""
    proposals = [case.proposal for case in cases]
    await asyncio.gather(*(_handle(client, proposal, ledger, say) for proposal in proposals))


async def _handle(
    client: AsyncClient, proposal: Proposal, ledger: Ledger, say: Callable[[str], None]
) -> None:
    # The id makes this the same proposal when the agent is started again: it takes up the ticket.
    ticket = await client.wait(await client.propose(proposal))

    async def act(version: Effective) -> Any:
        return ledger.enter(ticket.id, version)

    assert ticket.decision is not None
    try:
        if ticket.permit is not None and ticket.permit.status == "issued":
            await client.run(ticket, act)
            say(f"{_title(ticket)}: {ticket.decision.reason}; done")
        else:
            say(f"{_title(ticket)}: {ticket.decision.reason}")
    except (Conflict, Gone, Refused) as error:
        say(f"{_title(ticket)}: not run, {error.detail}")


def _title(ticket: Ticket) -> str:
    assert ticket.proposal is not None
    return f"{ticket.proposal.agent.id}, {ticket.id.removeprefix('demo-')}"
