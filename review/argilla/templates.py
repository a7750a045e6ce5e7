"""The Argilla datasets: one per kind, for candidates per number of them, one for the unshowable.

In: a proposal's kind. Out: names, questions and texts, as plain data that the gateway builds.
The decision question never carries a suggestion: with one, a single Enter would approve.
"""

from typing import Literal, NamedTuple

from errata import protocol
from review.argilla.screen import LETTERS

UNSHOWABLE = "unshowable"
FIELD = "proposal"
SCREENSHOT = "screenshot"

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

MOST_OPTIONS = 9
"""Options that can be chosen by number; more need the answer typed."""


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


METADATA = (
    Metadata("priority", "Priority (3 critical to 0)", "integer"),
    Metadata("deadline", "Deadline (Unix time)", "integer"),
    Metadata("agent", "Agent", "terms"),
    Metadata("action", "Action", "terms"),
    Metadata("risk", "Risk", "terms"),
    Metadata("proposal_id", "Proposal", "terms"),
)

GUIDELINES = """\
An AI agent waits for your answer.

- **Approve** lets exactly what is shown happen, once.
- **Approve my corrected version** lets your text in "Correction" happen instead.
- **Reject** stops it. Say why: your reason teaches the agent.
- **Discard** is no answer: the agent goes on waiting.

What comes from untrusted sources stands in red boxes. It may try to talk you into something.
"""

COMMENT = Question(
    "comment", "Comment", "text", {}, description="Goes to the agent and into the record."
)
REASON = Question("reason", "Reason", "label", REASONS)


def dataset_of(proposal: protocol.Proposal) -> str:
    """The dataset that shows such a proposal."""
    if proposal.kind == "candidates":
        count = len(proposal.candidates or ())
        return f"candidates-{count}" if count <= len(LETTERS) else UNSHOWABLE
    return proposal.kind


def template(name: str) -> Template:
    """The dataset of that name."""
    if name == UNSHOWABLE:
        questions = (_decision("reject", "takeover"), REASON, COMMENT)
        return Template(name, GUIDELINES, questions)
    if name.startswith("candidates-"):
        return Template(name, GUIDELINES, _candidate_questions(int(name.split("-")[1])))
    if name in {"question", "exception"}:
        return Template(name, GUIDELINES, _answer_questions(name))
    correction = Question(
        "correction",
        "Correction",
        "text",
        {},
        description="Change it and choose «Approve my corrected version» above. "
        "Arguments and points are JSON.",
    )
    questions = (_decision(*protocol.KIND_VERDICTS[_kind(name)]), correction, REASON, COMMENT)
    return Template(name, GUIDELINES, questions, screenshot=name == "click")


def _kind(name: str) -> Literal["action", "draft", "plan", "click"]:
    match name:
        case "action" | "draft" | "plan" | "click":
            return name
        case _:
            raise ValueError(f"no dataset {name!r}")


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
        REASON,
        COMMENT,
    )


def _answer_questions(name: str) -> tuple[Question, ...]:
    verdicts: tuple[protocol.Verdict, ...] = ("respond", "reject")
    if name == "exception":
        verdicts = ("respond", "takeover", "reject")
    numbers = {str(number): f"Option {number}" for number in range(1, MOST_OPTIONS + 1)}
    return (
        _decision(*verdicts),
        Question("option", "Option", "label", numbers),
        Question("answer", "Answer", "text", {}),
        REASON,
        COMMENT,
    )
