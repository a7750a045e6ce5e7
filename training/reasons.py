"""Why decided work is not trained on.

In: episodes. Out: a reason, or None where the work may be used.
"""

from typing import Literal

from review.history import Episode
from training.votes import Standing

Reason = Literal[
    "honeypot",
    "shadow",
    "test",
    "by_policy",
    "unreliable",
    "refused",
    "unanswered",
    "takeover",
    "question",
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
    "unreliable": "nobody who is for it reaches the bar for reliability",
    "refused": "refused, which alone says nothing about what would have been right",
    "unanswered": "expired, cancelled or blocked",
    "takeover": "a person took the task over",
    "question": "a question or an exception without a turn of the agent's to learn or to compare",
    "erased": "the text was erased",
    "empty": "the version that counts is empty",
    "unchanged": "approved as proposed: there is nothing it was preferred to",
    "identical": "both sides say the same",
    "unranked": "nobody compared the candidates",
    "tied": "the candidates came out equal",
    "cyclic": "the judgements go round in a circle",
}
"""Why a decision, or a pair of one, is not a row."""


def unusable(episode: Episode, standing: Standing) -> Reason | None:
    """Why nothing of an episode may be used, if so."""
    return excluded(episode) or _undecided(episode, standing)


def excluded(episode: Episode) -> Reason | None:
    """Why an episode is no real work, if so."""
    row = episode.row
    # The mode of imported work says how it was made; what is to be left out says `exclude`.
    marks = {row.exclude} if row.source == "import" else {row.exclude, row.mode}
    for reason in ("honeypot", "shadow", "test"):
        if reason in marks:
            return reason
    return None


def _undecided(episode: Episode, standing: Standing) -> Reason | None:
    match standing.outcome:
        case "takeover":
            return "takeover"
        case "expired" | "cancelled" | "blocked":
            return "unanswered"
        case "respond" if episode.row.kind == "exception":
            return "question"
        case "approve" | "edit" | "reject" | "regenerate" | "respond":
            if standing.by == "policy":
                return "by_policy"
            return "unreliable" if standing.weak else None
