"""The mail room's agent: its model drafts, people decide, the decided version is sent.

In a process of its own, as agents are. In: the API's address and key in the environment, one line of JSON on standard input with `model`,
`version` and `letters` (id to request). Out: one line of JSON, id to what was sent; nothing for
what was not let through. Run as `python -m errata.demo.drafting`.
"""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from errata.stages import open_stages

open_stages()

from errata.client import Client  # noqa: E402 - the stages' path and the environment come first
from errata.protocol import Agent, Message, Proposal, Ticket  # noqa: E402
from training.evaluation.model import Asked, Model  # noqa: E402

AGENT = "mailroom"
LONGEST = 60
"""Tokens of an answer."""


def main() -> None:
    """Draft, propose, wait, send."""
    work = json.loads(sys.stdin.readline())
    model = Model(Path(work["model"]), max_length=512)
    agent = Agent(id=AGENT, version=work["version"])
    with Client(os.environ["ERRATA_URL"], os.environ["ERRATA_KEY"]) as client:
        tickets = [
            client.propose(_draft(model, agent, name, request))
            for name, request in work["letters"].items()
        ]
        done = [client.wait(ticket) for ticket in tickets]
    print(json.dumps({one.id: _sent(one) for one in done}))  # noqa: T201 - this module's output


def _draft(model: Model, agent: Agent, name: str, request: str) -> Proposal:
    text = model.write(Asked([{"role": "user", "content": request}], None), LONGEST)
    return Proposal(
        hap="1",
        id=name,
        kind="draft",
        agent=agent,
        task_id=name,
        prompt=(Message(role="user", content=request),),
        content=text or "(nothing)",
    )


def _sent(ticket: Ticket) -> str | None:
    decision = ticket.decision
    if decision is None or decision.outcome not in {"approve", "edit"}:
        return None
    return decision.effective.content if decision.effective else None


if __name__ == "__main__":
    main()
