"""Why decided work is not trained on.

In: episodes. Out: a reason, or None where the work may be used.
"""

from typing import Literal

from review.history import Episode

Reason = Literal[
    "honeypot",
    "shadow",
    "test",
    "by_policy",
    "refused",
    "unanswered",
    "takeover",
    "question",
    "click",
    "erased",
    "empty",
    "unchanged",
    "identical",
    "unranked",
    "tied",
    "cyclic",
]
REASONS: dict[Reason, str] = {
    "honeypot": "planted to test the reviewers",
    "shadow": "shadow mode",
    "test": "test mode",
    "by_policy": "decided by the policy: nobody looked at it",
    "refused": "refused, which alone says nothing about what would have been right",
    "unanswered": "expired, cancelled or blocked",
    "takeover": "a person took the task over",
    "question": "a question or an exception: the answer is the person's, not the agent's",
    "click": "a place on a screen, which is no text",
    "erased": "the text was erased",
    "empty": "the version that counts is empty",
    "unchanged": "approved as proposed: there is nothing it was preferred to",
    "identical": "both sides say the same",
    "unranked": "nobody compared the candidates",
    "tied": "the candidates came out equal",
    "cyclic": "the judgements go round in a circle",
}
"""Why a decision, or a pair of one, is not a row."""


def unusable(episode: Episode) -> Reason | None:
    """Why nothing of an episode may be used, if so."""
    return excluded(episode) or _undecided(episode) or _wordless(episode)


def excluded(episode: Episode) -> Reason | None:
    """Why an episode is no real work, if so."""
    row = episode.row
    # The mode of imported work says how it was made; what is to be left out says `exclude`.
    marks = {row.exclude} if row.source == "import" else {row.exclude, row.mode}
    for reason in ("honeypot", "shadow", "test"):
        if reason in marks:
            return reason
    return None


def _undecided(episode: Episode) -> Reason | None:
    match episode.decision.outcome:
        case "reject" | "regenerate":
            return "refused"
        case "takeover":
            return "takeover"
        case "respond":
            return "question"
        case "expired" | "cancelled" | "blocked":
            return "unanswered"
        case "approve" | "edit":
            return "by_policy" if episode.decision.by == "policy" else None


def _wordless(episode: Episode) -> Reason | None:
    if episode.proposal is None:
        return "erased"
    match episode.proposal.kind:
        case "question" | "exception":
            return "question"
        case "click":
            return "click"
        case "action" | "draft" | "plan" | "candidates":
            return None
