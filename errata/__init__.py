"""Errata: human feedback for AI agents.

In: an agent's proposals. Out: people's decisions, and permits to act on them.
"""

from errata.async_client import AsyncClient
from errata.calls import approved, run_digest
from errata.client import Client
from errata.errors import ErrataError, Interrupted, Refused, StillOpen
from errata.protocol import (
    Action,
    Agent,
    Candidate,
    Confidence,
    Decision,
    Effective,
    Evidence,
    Message,
    Option,
    Permit,
    Proposal,
    Reasoning,
    Receipt,
    Review,
    Risk,
    Ticket,
)
from errata.runs import AsyncRun, Run, retrying, retrying_async
from errata.stages import open_stages
from errata.states import Framework, Parked, Saved

__all__ = [
    "Action",
    "Agent",
    "AsyncClient",
    "AsyncRun",
    "Candidate",
    "Client",
    "Confidence",
    "Decision",
    "Effective",
    "ErrataError",
    "Evidence",
    "Framework",
    "Interrupted",
    "Message",
    "Option",
    "Parked",
    "Permit",
    "Proposal",
    "Reasoning",
    "Receipt",
    "Refused",
    "Review",
    "Risk",
    "Run",
    "Saved",
    "StillOpen",
    "Ticket",
    "approved",
    "open_stages",
    "retrying",
    "retrying_async",
    "run_digest",
]
