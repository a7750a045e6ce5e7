"""The calls that both clients make: requests, patience, and what the answers mean.

In: proposals, permits, receipts. Out: requests; errors and values from answers. No network.
"""

import os
import random
import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

import httpx2
from pydantic import ValidationError

from errata import errors
from errata.digest import digest, version_body
from errata.protocol import Agent, Effective, Option, Permit, Proposal, Receipt, Ticket
from errata.states import Parked, Parking, Saved

DEFAULT_URL = "http://127.0.0.1:8400"
LONGEST_POLL = 30.0
"""Seconds that one long poll is held; a wait is made of as many as it takes."""
PATIENCE = 120.0
"""Seconds for which a request is repeated while the server cannot be reached, or says that the
agent sends too much."""


class Call(NamedTuple):
    """One HTTP call."""

    method: str
    path: str
    json: Any = None
    key: str | None = None
    """Idempotency key: makes a repetition harmless."""
    begin: str | None = None
    """A digest and a key: use the permit too, where the policy approves that digest at once."""
    timeout: float = 30.0
    content: bytes | None = None
    """A body that is JSON already and is sent as it is, in place of `json`."""


_ERRORS: dict[str, type[errors.ErrataError]] = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.ErrataError)
}


def error_of(response: httpx2.Response) -> errors.ErrataError:
    """The error that the server answered with, as the class that the server raised."""
    try:
        answer: dict[str, Any] = response.json()
        code, detail, field = answer["error"], answer["detail"], answer.get("field")
    except (ValueError, KeyError, TypeError):
        code, detail, field = "internal", f"HTTP {response.status_code} without an answer", None
    kind = _ERRORS.get(code, errors.ErrataError)
    if issubclass(kind, errors.TooEarly):
        return kind(detail, _retry_after(response))
    if kind is errors.TooMany:
        return errors.TooMany(detail, _retry_after(response))
    return _plain(kind)(detail, field)


def _plain(kind: type[errors.ErrataError]) -> type[errors.ErrataError]:
    """Errors with a constructor of their own do not come over the wire as such."""
    return kind if kind.__init__ is errors.ErrataError.__init__ else errors.ErrataError


def _retry_after(response: httpx2.Response) -> float:
    return float(response.headers.get("Retry-After", 1))


def _retryable(call: Call, response: httpx2.Response) -> bool:
    """Whether the server may answer otherwise in a moment; reading again is always harmless."""
    if call.method == "GET" and response.status_code >= 500:
        return True
    return response.status_code in {429, 502, 503, 504}


class Patience:
    """Pauses between attempts: doubling with jitter (AWS, 'full jitter'), until it ends."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._ceiling = 0.1

    def pause(self, at_least: float = 0.0) -> float | None:
        """Seconds to wait before the next attempt; None where there is to be none."""
        wanted = max(random.uniform(0.02, self._ceiling), at_least)  # jitter, no secret
        if self._left <= 0 or at_least > self._left:
            return None
        self._left -= wanted
        self._ceiling = min(self._ceiling * 2, 5.0)
        return wanted

    def after(self, call: Call, response: httpx2.Response) -> float | None:
        """Seconds to wait after an answer that is no success.

        Raises:
            ErrataError: What was answered, where another attempt would not help, or where the
                server says to come back after this patience ends.
        """
        if not _retryable(call, response):
            raise error_of(response)
        if response.status_code != 429:
            return self.pause()
        pause = self.pause(_retry_after(response))
        if pause is None:
            raise error_of(response)
        return pause


def proposing(proposal: Proposal, key: str | None) -> Call:
    """Ask."""
    return Call("POST", "/v1/proposals", proposal.wire(), key or uuid.uuid4().hex)


def proposing_once(proposal: Proposal, begin: str | None = None) -> Call:
    """Ask under an id of the caller's: again, it is the same question and shows where it stands.

    Args:
        proposal: With an id.
        begin: The digest that it will have if nothing has changed, to run it at once.
    """
    word = None if begin is None else f"{begin} {uuid.uuid4().hex}"
    return Call("POST", "/v1/proposals", proposal.wire(), begin=word)


def recalling(proposal: Proposal, limit: int) -> Call:
    """Ask for the corrections of like cases."""
    return Call("POST", f"/v1/lessons?limit={limit}", proposal.wire(), uuid.uuid4().hex)


def polling(ticket_id: str, seconds: float) -> Call:
    """Look, for so long if nothing is decided."""
    path = f"/v1/proposals/{ticket_id}?wait={seconds:.3f}"
    return Call("GET", path, timeout=seconds + 15)


def consuming(permit: Permit, computed: str, key: str) -> Call:
    """Use a permit."""
    return Call("POST", f"/v1/permits/{permit.id}/consume", {"digest": computed}, key)


def reporting(told: Receipt) -> Call:
    """Say what came of a run."""
    return Call("POST", f"/v1/permits/{told.permit_id}/receipt", told.wire())


def reporting_all(told: Sequence[Receipt]) -> Call:
    """Say what came of several runs."""
    return Call("POST", "/v1/receipts", {"receipts": [one.wire() for one in told]})


def parking(fields: dict[str, Any], replaces: Saved | None, key: str | None) -> Call:
    """Have a state kept.

    Raises:
        Malformed: The fields make none.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    if replaces is not None:
        given |= {"replaces": replaces.id, "lease": replaces.lease}
    try:
        stated = Parking.model_validate(given)
    except ValidationError as error:
        # Without the input: what an agent has in mind belongs in no log.
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        field = ".".join(str(step) for step in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise errors.Malformed(f"{field}: {message}" if field else message, field) from None
    return Call("POST", "/v1/states", stated.wire(), key or uuid.uuid4().hex)


def listing(agent: str | None, ready: bool | None, limit: int) -> Call:
    """Look at the states that are kept."""
    given = {"agent": agent, "ready": None if ready is None else str(ready).lower(), "limit": limit}
    asked = urlencode({name: value for name, value in given.items() if value is not None})
    return Call("GET", f"/v1/states?{asked}")


def resuming(state: Parked | str, lease_s: float) -> Call:
    """Take a state."""
    id_ = state if isinstance(state, str) else state.id
    return Call("POST", f"/v1/states/{id_}/resume", {"lease_s": lease_s}, uuid.uuid4().hex)


def finishing(saved: Saved) -> Call:
    """Say that a run is over."""
    return Call("POST", f"/v1/states/{saved.id}/done", {"lease": saved.lease})


def id_of(ticket: Ticket | str) -> str:
    """The id of a ticket, or the one that is given."""
    return ticket if isinstance(ticket, str) else ticket.id


def approved(ticket: Ticket) -> Permit:
    """The permit of a decided proposal.

    Raises:
        Refused: People or the policy did not let it run; carries the decision.
    """
    decision = ticket.decision
    if decision is None:
        raise errors.StillOpen(f"proposal {ticket.id} is not decided yet")
    if ticket.permit is None:
        raise errors.Refused(f"{decision.outcome}: {decision.reason}", decision)
    return ticket.permit


def run_digest(proposal: Proposal, version: Effective, permit: Permit) -> str:
    """The digest of what is about to run, computed from what is really there.

    Args:
        proposal: What was asked.
        version: What will run, as the caller holds it.
        permit: Names the tool schema and policy version that were in force.
    """
    return digest(
        agent=proposal.agent.id,
        kind=proposal.kind,
        body=version_body(proposal, version),
        tool_schema=permit.tool_schema,
        policy_version=permit.policy_version,
    )


class Base:
    """What both clients share: where the server is and how to say who calls."""

    def __init__(self, url: str | None, key: str | None, patience: float) -> None:
        self.url = (url or os.environ.get("ERRATA_URL") or DEFAULT_URL).rstrip("/")
        self._key = key or os.environ.get("ERRATA_KEY")
        self.patience = patience
        if not self._key:
            raise errors.Unauthorized("no key: pass key=… or set ERRATA_KEY")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(url={self.url!r})"

    def options(self, call: Call) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._key}"}
        if call.key is not None:
            headers["Idempotency-Key"] = call.key
        if call.begin is not None:
            headers["Errata-Begin"] = call.begin
        options = {"headers": headers, "timeout": call.timeout}
        if call.content is None:
            return {**options, "json": call.json}
        headers["Content-Type"] = "application/json"
        return {**options, "content": call.content}


def proposal_of(proposal: Proposal | None, fields: dict[str, Any]) -> Proposal:
    """The proposal, or the one that the fields make.

    Raises:
        Malformed: They make none.
    """
    if proposal is not None:
        return proposal
    try:
        return Proposal.model_validate({"hap": "1", **fields})
    except ValidationError as error:
        raise errors.Malformed(str(error)) from error


Options = dict[str, str] | list[str] | None


def question_of(
    question: str, options: Options, agent: str | Agent, extra: dict[str, Any]
) -> Proposal:
    """A question with its one-click answers, as a proposal."""
    labels = dict.fromkeys(options) if isinstance(options, list) else options or {}
    offered = [Option(id=id_, label=label or id_) for id_, label in labels.items()]
    named = Agent(id=agent) if isinstance(agent, str) else agent
    fields = {"kind": "question", "agent": named, "message": question, **extra}
    return proposal_of(None, {**fields, "options": offered} if offered else fields)


def answered(ticket: Ticket) -> Any:
    """The response to a decided question.

    Raises:
        Refused: There is none; carries the decision.
    """
    decision = ticket.decision
    assert decision is not None
    if decision.outcome != "respond":
        raise errors.Refused(f"{decision.outcome}: {decision.reason}", decision)
    return decision.effective.response
