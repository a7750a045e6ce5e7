"""The Human-Agent Protocol's values: what agents ask, people say and the platform answers.

In: JSON from agents, labelers' surfaces and files. Out: frozen values that forbid unknown fields.
Imports nothing of ours; everything else in the project speaks these words.
"""

import json
import math
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

Kind = Literal["action", "draft", "candidates", "question", "click", "plan", "exception"]
Mode = Literal["live", "shadow", "test"]
Verdict = Literal["approve", "edit", "reject", "respond", "regenerate", "takeover"]
Outcome = Literal[
    "approve",
    "edit",
    "reject",
    "respond",
    "regenerate",
    "takeover",
    "expired",
    "cancelled",
    "blocked",
]
Status = Literal[
    "proposed",
    "queued",
    "in_review",
    "decided",
    "permitted",
    "executing",
    "executed",
    "failed",
    "unknown",
    "undone",
]
Route = Literal["auto", "queue", "takeover", "block"]
RiskLevel = Literal["low", "medium", "high", "critical"]
Role = Literal["agent", "reviewer", "supervisor", "admin", "analyst"]

KIND_VERDICTS: dict[Kind, tuple[Verdict, ...]] = {
    "action": ("approve", "edit", "reject", "regenerate", "takeover"),
    "draft": ("approve", "edit", "reject", "regenerate", "takeover"),
    "plan": ("approve", "edit", "reject", "regenerate", "takeover"),
    "click": ("approve", "edit", "reject", "regenerate", "takeover"),
    "candidates": ("approve", "edit", "reject", "regenerate"),
    "question": ("respond", "reject"),
    "exception": ("respond", "edit", "takeover", "reject"),
}
"""Verdicts that a person may give when the proposal does not narrow them."""

KIND_FIELD: dict[Kind, str] = {
    "action": "action",
    "draft": "content",
    "plan": "content",
    "candidates": "candidates",
    "click": "point",
    "question": "message",
    "exception": "message",
}
"""The field that carries what each kind proposes."""

LARGEST_INTEGER = 2**53 - 1
"""RFC 8785 numbers are IEEE doubles: integers beyond this are not exact."""

DEEPEST = 100
"""Nesting of arrays and objects: far below where readers of JSON, ours and others', give up."""

SURROGATE = re.compile("[\ud800-\udfff]")


def _aware(moment: datetime) -> datetime:
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("the time lies outside the years 1 to 9999 in UTC") from error


Moment = Annotated[datetime, AfterValidator(_aware)]
"""A point in time, always UTC; a time without an offset is read as UTC."""


def check_json(value: Any, path: str = "", depth: int = 0) -> None:
    """Refuse what canonical JSON cannot carry exactly.

    Args:
        value: A JSON value made of dict, list, str, int, float, bool and None.
        path: Where the value stands, for the message.
        depth: How many arrays and objects it stands in.

    Raises:
        ValueError: NaN, an infinity, an integer past 2**53-1, a lone surrogate, a key that is no
            string, a type that JSON lacks, or nesting deeper than `DEEPEST`. The message names
            the place.
    """
    where = path or "value"
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, int):
        if abs(value) > LARGEST_INTEGER:
            raise ValueError(f"{where}: integer beyond 2**53-1; send it as a string")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where}: NaN and infinities are not JSON")
    elif isinstance(value, str):
        _check_text(value, where)
    else:
        _check_container(value, path, where, depth)


def _check_text(text: str, where: str) -> None:
    if SURROGATE.search(text):
        raise ValueError(f"{where}: lone surrogate; the text is not valid Unicode")


def _check_container(value: Any, path: str, where: str, depth: int) -> None:
    if depth == DEEPEST:
        raise ValueError(f"{where[:100]}…: nested too deeply; at most {DEEPEST} levels are taken")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError(f"{where}: object keys must be strings, got {key!r}")
            _check_text(key, where)
            check_json(item, f"{path}.{key}" if path else key, depth + 1)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            check_json(item, f"{path}[{index}]", depth + 1)
    else:
        raise ValueError(f"{where}: {type(value).__name__} is not JSON")


def _exact(value: Any) -> Any:
    check_json(value)
    return value


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("U+0000 cannot stand in a name or id")
    return text


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object whose keys stand once; a hook for `json.loads`.

    Readers of JSON disagree on which of two equal keys counts: what was shown might not run.

    Raises:
        ValueError: A key stands twice.
    """
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} stands twice")
        found[key] = value
    return found


Json = Annotated[Any, AfterValidator(_exact)]
JsonObject = Annotated[dict[str, Any], AfterValidator(_exact)]
Text = Annotated[str, AfterValidator(_exact)]
Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200),
    AfterValidator(_exact),
    AfterValidator(_storable),
]
Reference = Annotated[
    str, StringConstraints(max_length=500), AfterValidator(_exact), AfterValidator(_storable)
]
"""Somebody else's id or version; bounded because databases index it."""
ShortId = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(_exact)]
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Screenshot = Annotated[
    str,
    StringConstraints(
        pattern=r"^data:image/(avif|gif|jpeg|jpg|png|webp);base64,", max_length=5_000_000
    ),
]


class Value(BaseModel):
    """Base of every wire value: frozen, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def wire(self) -> dict[str, Any]:
        """The value as JSON-ready data, without the fields that were not given."""
        return self.model_dump(mode="json", exclude_none=True)


class Agent(Value):
    """Who proposes."""

    id: Name
    version: Reference | None = None
    model: Reference | None = None


def _arguments(value: Any) -> Any:
    """Arguments may come as an object or, as model APIs send them, as a JSON string."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value, object_pairs_hook=once)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


class Action(Value):
    """A tool call: name and arguments."""

    name: Name
    arguments: Annotated[JsonObject, BeforeValidator(_arguments)]


class ToolCall(Value):
    """A call inside a message of the history, in the OpenAI chat shape."""

    id: Text | None = None
    type: Literal["function"] = "function"
    function: Action


class Message(Value):
    """One chat message in the OpenAI shape. Tool-call ids may repeat: they are not keys."""

    role: Literal["system", "user", "assistant", "tool"]
    content: Text | None = None
    name: Text | None = None
    tool_calls: tuple[ToolCall, ...] | None = None
    tool_call_id: Text | None = None


class Candidate(Value):
    """One of several drafts or actions to choose from."""

    id: ShortId
    content: Text | None = None
    action: Action | None = None
    score: Finite | None = None

    @model_validator(mode="after")
    def _one_form(self) -> "Candidate":
        if (self.content is None) == (self.action is None):
            raise ValueError("a candidate has either content or action")
        return self


class Point(Value):
    """A place on a screenshot, in pixels from the upper left."""

    x: Finite
    y: Finite


class Option(Value):
    """A one-click answer to a question."""

    id: ShortId
    label: Text


class Confidence(Value):
    """How sure the agent says it is."""

    value: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    method: Literal["logprob", "self_report", "ensemble", "judge"]


class Risk(Value):
    """What is at stake, as the agent states it; the policy may only raise it."""

    level: RiskLevel
    amount: Finite | None = None
    reversible: bool | None = None
    reasons: tuple[Text, ...] | None = None


class Reasoning(Value):
    """The agent's account of where it stands."""

    goal: Text
    done: tuple[Text, ...] = ()
    stuck_on: Text | None = None
    options: tuple[Text, ...] | None = None
    why: Text | None = None
    factors: tuple[Json, ...] | None = None


class Evidence(Value):
    """A text that the proposal rests on, with where it came from."""

    text: Text
    origin: Literal["system", "agent", "user", "tool", "web", "email"]
    trusted: bool
    uri: Text | None = None


class Cost(Value):
    """What the agent's work has cost so far."""

    usd: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    tokens: Annotated[int, Field(ge=0, le=LARGEST_INTEGER)] | None = None


class Proposal(Value):
    """What an agent asks a person to decide."""

    hap: Literal["1"]
    id: Id | None = None
    kind: Kind
    mode: Mode = "live"
    agent: Agent
    requested_by: Name | None = None
    task_id: Reference | None = None
    group_id: Reference | None = None
    run_id: Reference | None = None
    parent_id: Reference | None = None
    created_at: Moment | None = None
    prompt: tuple[Message, ...] | None = None
    tools: tuple[JsonObject, ...] | None = None
    action: Action | None = None
    content: Text | None = None
    candidates: Annotated[tuple[Candidate, ...], Field(min_length=2, max_length=50)] | None = None
    point: Point | None = None
    screenshot: Screenshot | None = None
    message: Text | None = None
    options: tuple[Option, ...] | None = None
    response_schema: JsonObject | None = None
    allowed: tuple[Verdict, ...] | None = None
    confidence: Confidence | None = None
    risk: Risk | None = None
    reasoning: Reasoning | None = None
    evidence: tuple[Evidence, ...] = ()
    urgency: Literal["critical", "high", "normal", "log"] = "normal"
    expires_at: Moment | None = None
    depends_on: tuple[Id, ...] = ()
    undo_window_s: Annotated[float, Field(ge=0, le=86400)] | None = None
    cost: Cost | None = None
    metadata: JsonObject = Field(default_factory=dict)

    @model_validator(mode="after")
    def _body_fits_kind(self) -> "Proposal":
        field = KIND_FIELD[self.kind]
        if getattr(self, field) is None:
            raise ValueError(f"{field}: kind {self.kind!r} needs it")
        return self

    @model_validator(mode="after")
    def _ids_differ(self) -> "Proposal":
        for field, items in (("candidates", self.candidates), ("options", self.options)):
            ids = [item.id for item in items or ()]
            if len(set(ids)) != len(ids):
                raise ValueError(f"{field}: ids must differ from each other")
        return self

    @model_validator(mode="after")
    def _allowed_fits_kind(self) -> "Proposal":
        if self.allowed is not None and (
            not self.allowed or set(self.allowed) - set(KIND_VERDICTS[self.kind])
        ):
            fits = ", ".join(KIND_VERDICTS[self.kind])
            raise ValueError(f"allowed: kind {self.kind!r} takes one or more of {fits}")
        return self

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What a person may say to this proposal."""
        return tuple(
            verdict
            for verdict in KIND_VERDICTS[self.kind]
            if self.allowed is None or verdict in self.allowed
        )


class Rationale(Value):
    """Why a person decided so."""

    code: Name
    text: Text | None = None


class Judgement(Value):
    """One comparison of two candidates."""

    a: Text
    b: Text
    winner: Literal["a", "b", "tie"]


class Effective(Value):
    """What counts after the decision."""

    action: Action | None = None
    content: Text | None = None
    response: Json = None
    candidate: Text | None = None
    point: Point | None = None


class Review(Value):
    """What one person said; who said it is the session's, never the body's."""

    proposal_id: Id
    digest: Digest
    verdict: Verdict
    action: Action | None = None
    content: Text | None = None
    point: Point | None = None
    candidate: Text | None = None
    response: Json = None
    ranking: tuple[tuple[Text, ...], ...] | None = None
    pairwise: tuple[Judgement, ...] | None = None
    ratings: dict[Name, Finite] | None = None
    labels: dict[Name, Text | tuple[Text, ...]] | None = None
    rationale: Rationale | None = None
    guidance: Text | None = None
    opened_at: Moment | None = None
    first_action_at: Moment | None = None
    decided_at: Moment | None = None


class Tally(Value):
    """Reviews needed and got."""

    needed: int
    got: int


class Decision(Value):
    """The outcome of a proposal."""

    proposal_id: Id
    outcome: Outcome
    by: Literal["policy", "people", "import"]
    effective: Effective
    digest: Digest
    policy_version: Digest
    reason: str
    counterfactuals: tuple[str, ...] = ()
    corrective_prompt: str | None = None
    reviews: Tally
    decided_at: Moment


class Permit(Value):
    """The right to run one digest once."""

    id: str
    proposal_id: Id
    digest: Digest
    tool_schema: Digest | None = None
    policy_version: Digest
    not_before: Moment
    expires_at: Moment
    status: Literal["issued", "used", "expired", "revoked"]
    fence: int
    """Rises with every permit of a deployment: a tool that keeps the highest fence it has seen
    can refuse a stale runner."""


class Receipt(Value):
    """What happened when a permit was used."""

    permit_id: str
    status: Literal["executed", "failed", "unknown"]
    result: Json = None
    error: Text | None = None
    started_at: Moment
    finished_at: Moment


class StatedReview(Value):
    """A review with its author, as answers show it."""

    review: Review
    reviewer: str
    received_at: Moment
    void: Literal["replaced", "withdrawn", "edited", "policy"] | None = None
    """Why it counts no more."""


class Ticket(Value):
    """The one shape in which a proposal is answered over HTTP."""

    id: Id
    status: Status
    digest: Digest
    proposal: Proposal | None = None
    """None when its payload has been erased."""
    decision: Decision | None = None
    permit: Permit | None = None
    receipt: Receipt | None = None
    """What came of its run, once that was said."""
    reviews: tuple[StatedReview, ...] = ()
    estimated_wait_s: float | None = None
    """None where nothing is known."""
    claimed_until: Moment | None = None
    """Until when somebody works on it, unless they renew it."""
    begun: bool | None = None
    """True where the request that this answers has used the permit: run it now."""
    poll_url: str | None = None
    review_url: str | None = None
    events_url: str | None = None


VALUES: tuple[type[Value], ...] = (Proposal, Review, Decision, Permit, Receipt, Ticket)
"""The values whose JSON Schemas are published at /v1/schemas."""


def schemas() -> dict[str, Any]:
    """The JSON Schemas (2020-12) of the values, by name."""
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {model.__name__: {"$schema": dialect, **model.model_json_schema()} for model in VALUES}
