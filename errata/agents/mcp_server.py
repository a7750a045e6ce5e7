"""An MCP server with which any agent asks people: for approval, or a question.

In: tool calls of a host. Out: where the question stands, at once or after a few seconds; people may
take days, and nothing holds a connection meanwhile.

A host's own tools cannot be held back from here: an approval says what counts, and `use_permit`
that it is used once. Where a call must not run without one, put `errata.agents.mcp_gateway` before
the server that has the tool, or `client.gate` around its body.
"""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import uuid4

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel, Field, ValidationError

from errata import calls, errors
from errata.agents import versions
from errata.agents.desk import RECORD, Called, Desk
from errata.agents.driving import AsyncDriver
from errata.async_client import AsyncClient
from errata.digest import fingerprint
from errata.protocol import Action, Agent, Decision, Effective, Id, Receipt, Ticket

versions.require("mcp")

LONGEST_WAIT = 20.0
"""Seconds; hosts give a tool a minute or so."""
INSTRUCTIONS = (
    "Ask people here before you act where you were told to, and whenever you are unsure. They may "
    "take days: note the id, go on with other work, and call await_decision later. Waiting is not "
    "approval, and neither is silence."
)


class ToolUse(BaseModel):
    """A tool call."""

    name: str
    arguments: dict[str, Any]


Thread = Annotated[
    str,
    Field(
        description="The conversation or task that this belongs to. The same request in the same "
        "thread is the same question; give another to ask anew."
    ),
]
ActionArgument = Annotated[ToolUse | None, Field(description="The tool call; or give a draft.")]
DraftArgument = Annotated[str | None, Field(description="The text; or give an action.")]


class Answer(BaseModel):
    """Where a question stands."""

    id: str
    status: str
    says: str
    """In words."""
    estimated_wait_s: float | None = None
    outcome: str | None = None
    counts: dict[str, Any] | None = None
    """The version that people approved, or their response."""


def server(client: AsyncClient, agent: str | Agent, **fields: Any) -> MCPServer:
    """The server, which is to be run with `run_stdio_async`; see `Asker` for the arguments."""
    asker = Asker(client, agent, **fields)
    made = MCPServer("errata", instructions=INSTRUCTIONS, log_level="WARNING")
    for tool in (
        asker.request_approval,
        asker.ask_human,
        asker.await_decision,
        asker.use_permit,
        asker.report_outcome,
    ):
        made.add_tool(tool)
    return made


class Asker:
    """The tools of the server.

    Args:
        client: Of an agent's key. Its patience should be shorter than a host waits for a tool.
        agent: Who asks.
        fields: Fields of every proposal, such as `requested_by`.
    """

    def __init__(self, client: AsyncClient, agent: str | Agent, **fields: Any) -> None:
        self._client = client
        self._agent = Agent(id=agent) if isinstance(agent, str) else agent
        self._desk = Desk(self._agent, **fields)
        self._driver = AsyncDriver(client)
        self._fields = fields
        self._session = f"session-{uuid4().hex}"
        self._begun: dict[str, datetime] = {}

    async def request_approval(
        self,
        reason: Annotated[str, Field(description="Why; people read it.")],
        action: ActionArgument = None,
        draft: DraftArgument = None,
        thread: Thread = "",
    ) -> Answer:
        """Ask people to approve an action (a tool call) or a draft (a text) before it is used.

        Returns at once. What they approve may be their own version: only that counts. An approval
        is no permission to run the action by itself: call use_permit just before you run it.
        """
        with _told():
            version = _version(action, draft)
            where = thread or self._session
            if version.action is None:
                given = {"kind": "draft", "content": version.content, "message": reason}
                return _answer(await self._once(where, given))
            called = Called(
                name=version.action.name,
                arguments=version.action.arguments,
                id="",
                thread=where,
                fields={"message": reason},
            )
            return _answer(await self._driver.drive(self._desk.ask(called)))

    async def ask_human(
        self,
        question: str,
        options: Annotated[
            list[str] | None, Field(description="One-click answers; the answer is one of them.")
        ] = None,
        response_schema: Annotated[
            dict[str, Any] | None, Field(description="JSON Schema that the answer must fit.")
        ] = None,
        thread: Thread = "",
    ) -> Answer:
        """Ask people a question. Returns at once; the answer comes through await_decision."""
        with _told():
            extra = {"response_schema": response_schema} if response_schema else {}
            asked = calls.question_of(question, options, self._agent, extra)
            given = asked.model_dump(exclude_none=True, exclude={"hap", "agent", "metadata"})
            return _answer(await self._once(thread or self._session, given))

    async def await_decision(
        self,
        id: Id,
        wait_s: Annotated[float, Field(ge=0, le=LONGEST_WAIT)] = 0,
    ) -> Answer:
        """Where a question stands; waits a few seconds at most. People may take days: not in a loop."""
        with _told():
            return _answer(await self._look(id, wait_s))

    async def use_permit(
        self, id: Id, action: ActionArgument = None, draft: DraftArgument = None
    ) -> Answer:
        """Use the permit of an approval, just before you run what was approved; it works once.

        Give exactly what you are about to run or send. If this fails, do not run it. Afterwards
        call report_outcome.
        """
        with _told():
            ticket = await self._look(id)
            permit = calls.approved(ticket)
            if ticket.proposal is None:
                raise errors.Gone("its texts were erased; ask again in another thread")
            version = _version(action, draft)
            await self._client.consume(permit, calls.run_digest(ticket.proposal, version, permit))
            self._begun[id] = datetime.now(UTC)
            return _answer(await self._look(id))

    async def report_outcome(
        self,
        id: Id,
        status: Literal["executed", "failed", "unknown"],
        result: Any = None,
        error: str | None = None,
    ) -> Answer:
        """Say what came of what you ran under a permit."""
        with _told():
            permit = calls.approved(await self._look(id))
            now = datetime.now(UTC)
            started = self._begun.pop(id, now)
            await self._client.report(
                Receipt(
                    permit_id=permit.id,
                    status=status,
                    result=result,
                    error=error,
                    started_at=started,
                    finished_at=now,
                )
            )
            return _answer(await self._look(id))

    async def _look(self, id_: str, wait_s: float = 0) -> Ticket:
        return Ticket.model_validate(await self._client.send(calls.polling(id_, wait_s)))

    async def _once(self, thread: str, given: dict[str, Any]) -> Ticket:
        """The ticket of a question or draft: for the same in the same thread always the same."""
        same = {name: value for name, value in given.items() if name != "message"}
        if given["kind"] == "question":
            same = given
        print_ = fingerprint([thread, self._agent.id, self._agent.version, same])
        fields: dict[str, Any] = {**self._fields, **given, "agent": self._agent}
        fields["metadata"] = {**fields.get("metadata", {}), RECORD: {"thread": thread}}
        fields["id"] = f"{given['kind']}-{print_.removeprefix('sha256:')}"
        proposal = calls.proposal_of(None, fields)
        try:
            return Ticket.model_validate(await self._client.send(calls.proposing_once(proposal)))
        except errors.Conflict as error:
            if error.field != "id":
                raise
        return await self._look(fields["id"])


@contextmanager
def _told() -> Generator[None]:
    """Errors as the model reads them."""
    try:
        yield
    except errors.TooEarly as early:
        raise ToolError(f"{early.detail}; come back in {early.retry_after_s:.0f} s") from early
    except errors.ErrataError as error:
        raise ToolError(error.detail) from error


def _version(action: ToolUse | None, draft: str | None) -> Effective:
    """What is asked for, or about to be used.

    Raises:
        Malformed: It is not one of the two, or nothing that JSON can carry exactly.
    """
    if (action is None) == (draft is None):
        raise errors.Malformed("give either action or draft")
    try:
        used = Action(name=action.name, arguments=action.arguments) if action else None
        return Effective(action=used, content=draft)
    except ValidationError as error:
        raise errors.Malformed(str(error)) from error


def _answer(ticket: Ticket) -> Answer:
    decision = ticket.decision
    return Answer(
        id=ticket.id,
        status=ticket.status,
        says=says(ticket),
        estimated_wait_s=ticket.estimated_wait_s if decision is None else None,
        outcome=decision.outcome if decision else None,
        counts=decision.effective.wire() if decision else None,
    )


def says(ticket: Ticket) -> str:
    """Where a ticket stands, in words that promise nothing."""
    decision, receipt = ticket.decision, ticket.receipt
    if decision is None:
        return (
            "Waiting: nobody has decided, and until then it is not approved. People may take "
            "minutes or days. Go on with other work, and call await_decision with this id later."
        )
    match ticket.status:
        case "executed" | "undone":
            return "Its permit was used and it was run. Do not run it again."
        case "failed":
            why = receipt.error if receipt and receipt.error else "no reason was given"
            return f"Its permit was used, and what was run failed: {why}. Do not run it again."
        case "executing" | "unknown":
            return (
                "Its permit was used, and what came of it was not said. Do not run it again; if "
                "you ran it, call report_outcome."
            )
        case _ if decision.outcome == "respond":
            return "Answered: the response is under `counts`."
        case _:
            return _of_permit(ticket, decision)


def _of_permit(ticket: Ticket, decision: Decision) -> str:
    permit = ticket.permit
    if permit is None:
        return decision.corrective_prompt or f"Not approved: {decision.outcome}, {decision.reason}."
    if permit.status in {"expired", "revoked"}:
        return (
            f"It was approved, but its permit is {permit.status}. Do not run it; ask again in "
            "another thread if it is still needed."
        )
    whose = "A person changed it" if decision.outcome == "edit" else "Approved"
    return (
        f"{whose}: only the version under `counts` may be used, once, before "
        f"{permit.expires_at.isoformat()}. First call use_permit with exactly that version; where "
        "it fails, do not run it."
    )
