"""The Argilla datasets: one per kind, and for choices per number of them; one for the unshowable.

In: a proposal's kind. Out: names, questions and texts, as plain data that the gateway builds.
The decision question never carries a suggestion: with one, a single Enter would approve.
"""

from typing import Literal, NamedTuple

from errata import protocol
from review.argilla import guidelines
from review.argilla.screen import LETTERS

PICTURE = "click-picture"
UNSHOWABLE: Literal["unshowable"] = "unshowable"
FIELD = "proposal"
SCREENSHOT = "screenshot"
BACKGROUND = "background"

REASONS = {
    "wrong_facts": "Facts are wrong",
    "wrong_action": "Wrong action",
    "wrong_values": "Wrong amount, recipient or other values",
    "incomplete": "Something is missing",
    "tone": "Tone or wording",
    "policy": "Against our rules",
    "unsafe": "Unsafe or suspicious",
    "duplicate": "Already done or asked",
    "other": "Other: see comment",
}
VERDICTS: dict[protocol.Verdict, str] = {
    "approve": "Approve",
    "edit": "Approve my corrected version",
    "reject": "Reject",
    "respond": "Answer",
    "regenerate": "Try again, with my comment",
    "takeover": "I do it myself",
}

OPTIONS = range(2, 10)
"""Numbers of options that get a button each. For one Argilla has no question, and more than nine
have no key: then the number is written."""


class Question(NamedTuple):
    """One question of a dataset."""

    name: str
    title: str
    form: Literal["label", "text", "ranking"]
    options: dict[str, str]
    required: bool = False
    description: str = ""


class Metadata(NamedTuple):
    """A value to filter and sort by."""

    name: str
    title: str
    form: Literal["terms", "integer"]


class Template(NamedTuple):
    """A dataset."""

    name: str
    guidelines: str
    questions: tuple[Question, ...]
    screenshot: bool = False
    """Whether it has a picture, and below it the background as a field of its own."""


METADATA = (
    Metadata("priority", "Priority (3 critical to 0)", "integer"),
    Metadata("deadline", "Deadline (Unix time)", "integer"),
    Metadata("agent", "Agent", "terms"),
    Metadata("action", "Action", "terms"),
    Metadata("risk", "Risk", "terms"),
    Metadata("proposal_id", "Proposal", "terms"),
    Metadata("assignee", "Assigned to", "terms"),
)

COMMENT = Question(
    "comment", "Comment", "text", {}, description="Goes to the agent and into the record."
)
REASON = Question("reason", "Reason", "label", REASONS)
WORDS = (REASON, COMMENT)


def dataset_of(proposal: protocol.Proposal) -> str:
    """The dataset that shows such a proposal."""
    match proposal.kind:
        case "candidates":
            count = len(proposal.candidates or ())
            return f"candidates-{count}" if count <= len(LETTERS) else UNSHOWABLE
        case "question" | "exception":
            count = len(proposal.options or ())
            return f"{proposal.kind}-{count if count in OPTIONS else 'text'}"
        case "click" if proposal.screenshot is not None:
            return PICTURE
        case kind:
            return kind


def template(name: str) -> Template:
    """The dataset of that name; those of older data folders are known too.

    Raises:
        ValueError: There is no such dataset.
    """
    sort, _, number = name.partition("-")
    count = int(number) if number.isdecimal() else 0
    match sort:
        case "unshowable":
            return Template(name, guidelines.of(sort), (_decision("reject", "takeover"), *WORDS))
        case "candidates":
            return Template(name, guidelines.of(sort), _candidate_questions(count))
        case "question" | "exception":
            return Template(name, guidelines.of(sort), _answer_questions(sort, count))
        case "action" | "draft" | "plan" | "click":
            return _correctable(sort)._replace(name=name, screenshot=name == PICTURE)
        case _:
            raise ValueError(f"no dataset {name!r}")


CORRECTION = {
    "action": "The arguments, as JSON.",
    "draft": "The text that goes out.",
    "plan": "The plan that the agent follows.",
    "click": "The place as x,y, such as 412,380.",
}


def _correctable(kind: Literal["action", "draft", "plan", "click"]) -> Template:
    words = f"{CORRECTION[kind]} Change it and choose «Approve my corrected version» above."
    questions = (
        _decision(*protocol.KIND_VERDICTS[kind]),
        Question("correction", "Correction", "text", {}, description=words),
        *WORDS,
    )
    return Template(kind, guidelines.of(kind), questions)


def _decision(*verdicts: protocol.Verdict) -> Question:
    options = {verdict: VERDICTS[verdict] for verdict in verdicts}
    return Question("decision", "Decision", "label", options, required=True)


def _candidate_questions(count: int) -> tuple[Question, ...]:
    letters = {letter: f"Candidate {letter}" for letter in LETTERS[:count]}
    return (
        _decision(*protocol.KIND_VERDICTS["candidates"]),
        Question("best", "The best one", "label", letters),
        Question(
            "ranking",
            "Ranking, best first",
            "ranking",
            letters,
            description="Ties are allowed, but the best place holds one.",
        ),
        Question(
            "correction",
            "Correction",
            "text",
            {},
            description="Your own version instead; for an action its arguments as JSON.",
        ),
        *WORDS,
    )


def _answer_questions(kind: Literal["question", "exception"], count: int) -> tuple[Question, ...]:
    verdicts: tuple[protocol.Verdict, ...] = ("respond", "reject")
    if kind == "exception":
        verdicts = ("respond", "takeover", "reject")
    found = [_decision(*verdicts)]
    if count:
        numbers = {str(number): f"Option {number}" for number in range(1, count + 1)}
        found.append(Question("option", "Option", "label", numbers))
    words = "A text, the number of an option, or JSON where a JSON Schema is shown."
    return (*found, Question("answer", "Answer", "text", {}, description=words), *WORDS)
