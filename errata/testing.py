"""Testing an agent without a server: an in-memory Errata whose reviewer is a function.

In: a function from proposals to what a reviewer says. Out: a transport for the clients. It keeps
the same contract as the server as far as an agent can see it; tests/contract runs both.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import httpx2
from pydantic import ValidationError

from errata.digest import NO_POLICY, body, digest, schema_digest, stated_schema, version_body
from errata.protocol import (
    Decision,
    Effective,
    Outcome,
    Permit,
    Proposal,
    Receipt,
    Tally,
    Ticket,
)
from errata.testing_states import FakeStates, refuse


class Said(NamedTuple):
    """What the scripted reviewer says; `version` is the person's version of an edit."""

    outcome: Outcome
    version: Effective = Effective()


Reviewer = Callable[[Proposal], Said | None]
"""None leaves the proposal waiting."""

APPROVE = Said("approve")
REJECT = Said("reject")


class FakeServer:
    """An in-memory Errata.

    Args:
        reviewer: Answers each proposal when it comes, or when somebody waits for it.

    Example:
        client = errata.Client(key="any", transport=FakeServer(lambda proposal: APPROVE).transport)
    """

    def __init__(self, reviewer: Reviewer) -> None:
        self._reviewer = reviewer
        self.tickets: dict[str, Ticket] = {}
        self.receipts: list[Receipt] = []
        self.runs: dict[str, dict[str, Any]] = {}
        self.states = FakeStates(self._is_decided)
        self._by_key: dict[str, str] = {}
        self._uses: dict[str, str | None] = {}

    @property
    def transport(self) -> httpx2.MockTransport:
        """For `Client(transport=…)` and `AsyncClient(transport=…)`."""
        return httpx2.MockTransport(self._handle)

    def _handle(self, request: httpx2.Request) -> httpx2.Response:
        given: dict[str, Any] = json.loads(request.content) if request.content else {}
        parts = request.url.path.removeprefix("/v1/").split("/")
        key = request.headers.get("Idempotency-Key")
        match request.method, parts:
            case "POST", ["proposals"]:
                return self._propose(given, key)
            case "GET", ["proposals", id_]:
                return self._show(id_)
            case "POST", ["proposals", id_, "cancel"]:
                return self._cancel(id_)
            case "POST", ["permits", *_] | ["receipts"]:
                return self._execute(parts, given, key)
            case "POST", ["lessons"]:
                return httpx2.Response(200, json={"lessons": []})  # its reviewer teaches nothing
            case method, ["states", *rest]:
                return self.states.handle(method, rest, given, key, dict(request.url.params))
            case method, ["runs", *rest]:
                return self._run(method, rest, given)
            case _:
                return refuse(404, "not_found", f"the fake has no {request.url.path}")

    def _propose(self, given: dict[str, Any], key: str | None) -> httpx2.Response:
        if key is not None and key in self._by_key:
            return _answer(202, self.tickets[self._by_key[key]])
        try:
            proposal = Proposal.model_validate(given)
        except ValidationError as error:
            return refuse(422, "malformed", str(error))
        if proposal.id is not None and proposal.id in self.tickets:
            if self.tickets[proposal.id].proposal != proposal:
                return refuse(409, "conflict", f"the id {proposal.id!r} is taken", "id")
            return _answer(202, self.tickets[proposal.id])
        id_ = proposal.id or f"fake-{len(self.tickets) + 1}"
        ticket = Ticket(
            id=id_, status="queued", digest=_digest(proposal, body(proposal)), proposal=proposal
        )
        self.tickets.setdefault(id_, ticket)
        if key is not None:
            self._by_key[key] = id_
        return _answer(202, self._decide(id_))

    def _decide(self, id_: str) -> Ticket:
        """Ask the reviewer while nothing is decided."""
        ticket = self.tickets[id_]
        if ticket.decision is None and ticket.proposal is not None:
            said = self._reviewer(ticket.proposal)
            if said is not None:
                self._settle(ticket, ticket.proposal, said)
        return self.tickets[id_]

    def _is_decided(self, id_: str) -> bool | None:
        """None where nobody asked it."""
        return None if id_ not in self.tickets else self._decide(id_).decision is not None

    def _settle(self, ticket: Ticket, proposal: Proposal, said: Said) -> None:
        runs = said.outcome in {"approve", "edit"} and proposal.kind not in {
            "question",
            "exception",
        }
        counts = _effective(proposal, said)
        now = datetime.now(UTC)
        bound = _digest(proposal, version_body(proposal, counts)) if runs else ticket.digest
        decision = Decision(
            proposal_id=ticket.id,
            outcome=said.outcome,
            by="people",
            effective=counts,
            digest=bound,
            policy_version=NO_POLICY,
            reason=f"{said.outcome} by the scripted reviewer",
            reviews=Tally(needed=1, got=1),
            decided_at=now,
        )
        permit = Permit(
            id=f"permit-{ticket.id}",
            proposal_id=ticket.id,
            digest=bound,
            tool_schema=_schema(proposal),
            policy_version=NO_POLICY,
            not_before=now,
            expires_at=now + timedelta(hours=24),
            status="issued",
            fence=len(self._uses) + 1,
        )
        self.tickets[ticket.id] = ticket.model_copy(
            update={
                "status": "permitted" if runs else "decided",
                "decision": decision,
                "permit": permit if runs else None,
            }
        )

    def _show(self, id_: str) -> httpx2.Response:
        if id_ not in self.tickets:
            return refuse(404, "not_found", f"no proposal {id_!r}")
        return _answer(200, self._decide(id_))

    def _cancel(self, id_: str) -> httpx2.Response:
        ticket = self.tickets[id_]
        if ticket.decision is not None or ticket.proposal is None:
            return refuse(409, "already_decided", f"proposal {id_} has been decided")
        self._settle(ticket, ticket.proposal, Said("cancelled"))
        return _answer(200, self.tickets[id_])

    def _consume(self, id_: str, computed: str, key: str | None) -> httpx2.Response:
        ticket = self._holder(id_)
        if ticket is None or ticket.permit is None:
            return refuse(404, "not_found", f"no permit {id_!r}")
        run = self.runs.get((ticket.proposal and ticket.proposal.run_id) or "", {})
        if run.get("interrupt"):
            return refuse(409, "interrupted", f"run {run['id']} is {run['status']}")
        if id_ in self._uses and (key is None or self._uses[id_] != key):
            return refuse(409, "used", f"permit {id_} has been used")
        if computed != ticket.permit.digest:
            return refuse(409, "digest_mismatch", "the digest is not that of the approved version")
        self._uses[id_] = key
        used = ticket.permit.model_copy(update={"status": "used"})
        self._put(ticket, status="executing", permit=used)
        return httpx2.Response(200, json=used.wire())

    def _report(self, id_: str, given: dict[str, Any]) -> httpx2.Response:
        ticket = self._holder(id_)
        if ticket is None or id_ not in self._uses:
            return refuse(409, "conflict", f"permit {id_} was not used")
        receipt = Receipt.model_validate(given)
        self.receipts.append(receipt)
        self._put(ticket, status=receipt.status, receipt=receipt)
        return httpx2.Response(201, json=receipt.wire())

    def _execute(self, parts: list[str], given: dict[str, Any], key: str | None) -> httpx2.Response:
        match parts:
            case ["permits", id_, "consume"]:
                return self._consume(id_, given["digest"], key)
            case ["permits", id_, "receipt"]:
                return self._report(id_, given)
            case _:
                return self._report_all(given["receipts"])

    def _report_all(self, given: list[dict[str, Any]]) -> httpx2.Response:
        answers = [(one["permit_id"], self._report(one["permit_id"], one)) for one in given]
        refused = [{"permit_id": id_, **no.json()} for id_, no in answers if no.is_error]
        return httpx2.Response(201, json={"refused": refused})

    def interrupt(self, run_id: str, mode: str, reason: str) -> None:
        """Interrupt a run, as a supervisor does: pause, takeover or stop."""
        status = {"pause": "paused", "takeover": "taken_over", "stop": "stopped"}[mode]
        self._change(run_id, status=status, interrupt={"mode": mode, "reason": reason})

    def resume(self, run_id: str, note: str | None = None) -> None:
        """Hand a run back, as a supervisor does."""
        self._change(run_id, status="running", interrupt=None, note=note)

    def _run(self, method: str, path: list[str], given: dict[str, Any]) -> httpx2.Response:
        return self._follow(path[0], method, path[1:], given) if path else self._begin(given)

    def _begin(self, given: dict[str, Any]) -> httpx2.Response:
        begun = {"status": "running", "version": 0, "progress": None, "steps": [], **given}
        return httpx2.Response(201, json=self.runs.setdefault(given["id"], begun))

    def _follow(
        self, id_: str, method: str, rest: list[str], given: dict[str, Any]
    ) -> httpx2.Response:
        run = self.runs.get(id_)
        if run is None:
            return refuse(404, "not_found", f"no run {id_!r}")
        if method == "GET":
            return httpx2.Response(200, json=run)
        if run["status"] in {"done", "failed"}:
            return refuse(409, "conflict", f"run {id_} has ended: {run['status']}")
        if rest == ["steps"]:
            progress = given.get("progress", run["progress"])
            self._change(id_, steps=[*run["steps"], given], progress=progress)
            return httpx2.Response(201, json=run)
        if run["status"] != "running":
            return refuse(409, "interrupted", f"run {id_} is {run['status']}")
        self._change(id_, status=given["status"])
        return httpx2.Response(200, json=run)

    def _change(self, run_id: str, **changes: Any) -> None:
        self.runs[run_id].update(changes, version=self.runs[run_id]["version"] + 1)

    def _holder(self, permit_id: str) -> Ticket | None:
        held = (one for one in self.tickets.values() if one.permit and one.permit.id == permit_id)
        return next(held, None)

    def _put(self, ticket: Ticket, **changes: Any) -> None:
        self.tickets[ticket.id] = ticket.model_copy(update=changes)


def _effective(proposal: Proposal, said: Said) -> Effective:
    match said.outcome:
        case "edit" | "respond":
            return said.version
        case "approve" if said.version.candidate is not None:
            chosen = next(c for c in proposal.candidates or () if c.id == said.version.candidate)
            return Effective(candidate=chosen.id, content=chosen.content, action=chosen.action)
        case "approve":
            return Effective(action=proposal.action, content=proposal.content, point=proposal.point)
        case _:
            return Effective()


def _schema(proposal: Proposal) -> str | None:
    if proposal.action is None:
        return None
    return schema_digest(stated_schema(proposal, proposal.action.name))


def _digest(proposal: Proposal, bound: dict[str, Any]) -> str:
    return digest(
        agent=proposal.agent.id,
        kind=proposal.kind,
        body=bound,
        tool_schema=_schema(proposal),
        policy_version=NO_POLICY,
    )


def _answer(status: int, ticket: Ticket) -> httpx2.Response:
    return httpx2.Response(status, json={"reviews": [], **ticket.wire()})
