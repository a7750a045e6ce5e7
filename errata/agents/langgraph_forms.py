"""The forms in which LangChain's agents ask people about tool calls, read and answered.

In: interrupts. Out: the calls that they ask about; the values that they are resumed with. Pure.
"""

from typing import Any, Literal, NamedTuple

from langgraph.types import Interrupt
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from errata import errors
from errata.agents.standing import Done, Ready, Standing
from errata.protocol import Verdict

Form = Literal["batched", "per_call", "inbox"]
VERDICTS: dict[str, Verdict] = {"approve": "approve", "edit": "edit", "reject": "reject"}
TYPES: dict[type, str] = {
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


class Question(NamedTuple):
    """One call that an interrupt asks about."""

    name: str
    arguments: dict[str, Any]
    allowed: frozenset[str]
    """approve, edit, reject, respond."""
    description: str | None
    schema: dict[str, Any]

    @property
    def verdicts(self) -> list[Verdict]:
        """What people may say; an answer in the tool's place is a reject that says why."""
        found: list[Verdict] = [ours for theirs, ours in VERDICTS.items() if theirs in self.allowed]
        return found if "reject" in found else [*found, "reject"]


class Asked(NamedTuple):
    """An interrupt, read."""

    id: str
    form: Form
    questions: list[Question]


class _Form(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Request(_Form):
    name: str
    args: dict[str, Any]
    description: str | None = None


class _Review(_Form):
    action_name: str
    allowed_decisions: list[str]


class _Batch(_Form):
    action_requests: list[_Request]
    review_configs: list[_Review]


class _PerCall(_Form):
    type: Literal["tool_approval"]
    name: str
    args: dict[str, Any]
    description: str | None = None


class _InboxRequest(_Form):
    action: str
    args: dict[str, Any]


class _InboxConfig(_Form):
    allow_ignore: bool = False
    allow_respond: bool = False
    allow_edit: bool = False
    allow_accept: bool = False


class _Inbox(_Form):
    action_request: _InboxRequest
    config: _InboxConfig
    description: str | None = None


_FORMS: TypeAdapter[Any] = TypeAdapter(_Batch | _PerCall | _Inbox | list[_Inbox])


def read(interrupt: Interrupt[Any]) -> Asked:
    """The calls that an interrupt asks about.

    Raises:
        Malformed: It is in none of the known forms, or takes no answer but yes.
    """
    try:
        value = _FORMS.validate_python(interrupt.value)
    except ValidationError as error:
        raise errors.Malformed(
            f"interrupt {interrupt.id} is in none of the forms that can be answered: a batch of "
            "the human-in-the-loop middleware, one of its calls, an Agent Inbox interrupt",
            "value",
        ) from error
    match value:
        case _Batch():
            form, questions = "batched", _batch(value)
        case _PerCall():
            form, questions = "per_call", [_per_call(value, interrupt.response_schema)]
        case _:
            many = value if isinstance(value, list) else [value]
            form, questions = "inbox", [_inbox(one) for one in many]
    for one in questions:
        if not one.allowed & {"reject", "respond"}:
            raise errors.Malformed(
                f"interrupt {interrupt.id} lets nobody say no to {one.name!r}: allow reject",
                "allowed_decisions",
            )
    return Asked(interrupt.id, form, questions)


def _batch(value: _Batch) -> list[Question]:
    allowed = {one.action_name: frozenset(one.allowed_decisions) for one in value.review_configs}
    return [
        Question(
            one.name,
            one.args,
            allowed.get(one.name, frozenset()),
            one.description,
            _schema_like(one.args),
        )
        for one in value.action_requests
    ]


def _per_call(value: _PerCall, schema: Any) -> Question:
    """The interrupt's own schema says what may be answered, and which arguments an edit may have."""
    stated: dict[str, Any] = schema if isinstance(schema, dict) else {}
    definitions: dict[str, Any] = stated.get("$defs", {})
    branches = [*definitions.values(), stated]
    allowed = {str(b.get("properties", {}).get("type", {}).get("const")) for b in branches}
    edited = definitions.get("EditedAction", {}).get("properties", {}).get("args", {})
    return Question(
        value.name,
        value.args,
        frozenset(allowed),
        value.description,
        _resolved(edited, definitions) or _schema_like(value.args),
    )


def _resolved(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any] | None:
    found = definitions.get(str(schema.get("$ref", "")).rpartition("/")[2], schema)
    if found.get("type") != "object":
        return None
    return {**found, "$defs": definitions}


def _inbox(value: _Inbox) -> Question:
    names = {
        "approve": value.config.allow_accept,
        "edit": value.config.allow_edit,
        "reject": value.config.allow_ignore,
        "respond": value.config.allow_respond,
    }
    return Question(
        value.action_request.action,
        value.action_request.args,
        frozenset(name for name, allowed in names.items() if allowed),
        value.description,
        _schema_like(value.action_request.args),
    )


def _schema_like(arguments: dict[str, Any]) -> dict[str, Any]:
    """A schema that keeps the types of what was asked, where the form tells of none.

    The Agent Inbox hands every edited value back as text; with this an edit keeps its types or is
    refused.
    """
    typed = {name: TYPES[type(v)] for name, v in arguments.items() if type(v) in TYPES}
    return {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in typed.items()},
    }


def answer(form: Form, settled: list[tuple[Question, Standing]]) -> Any:
    """The value that an interrupt is resumed with."""
    if form == "inbox":
        return [_inbox_answer(question, now) for question, now in settled]
    given = [_decision(question, now) for question, now in settled]
    return given[0] if form == "per_call" else {"decisions": given}


def _decision(question: Question, now: Standing) -> dict[str, Any]:
    if isinstance(now, Ready):
        if now.note is None:
            return {"type": "approve"}
        action = {"name": now.action.name, "args": now.action.arguments}
        return {"type": "edit", "edited_action": action}
    assert isinstance(now, Done)
    responds = "respond" in question.allowed and (now.ok or "reject" not in question.allowed)
    return {"type": "respond" if responds else "reject", "message": now.text}


def _inbox_answer(question: Question, now: Standing) -> dict[str, Any]:
    if isinstance(now, Ready):
        args = {"action": now.action.name, "args": now.action.arguments}
        return {"type": "accept" if now.note is None else "edit", "args": args}
    assert isinstance(now, Done)
    if "respond" in question.allowed:
        return {"type": "response", "args": now.text}
    return {"type": "ignore", "args": None}
