"""The columns of a bundle.

In: rows. Out: records of plain values by column, and Arrow batches of them.

Messages are JSON in Arrow, not structs: a struct would give every call the arguments of every other
tool, as nulls, and a model learns to write them.
"""

from collections.abc import Callable
from typing import Any, Literal

import msgspec
import pyarrow as pa

from training import votes
from training.rows import Kind, Row

Split = Literal["train", "test"]
Record = dict[str, Any]

SIDES: dict[Kind, tuple[str, ...]] = {
    "sft": ("completion",),
    "dpo": ("chosen", "rejected"),
    "kto": ("completion", "label"),
    "reward": ("chosen", "rejected", "margin"),
}
"""TRL's names for what follows the prompt."""

TOKENS: dict[Kind, tuple[str, ...]] = {
    "sft": ("prompt_tokens", "completion_tokens"),
    "dpo": ("prompt_tokens", "chosen_tokens", "rejected_tokens"),
    "kto": ("prompt_tokens", "completion_tokens"),
    "reward": ("prompt_tokens", "chosen_tokens", "rejected_tokens"),
}
"""The columns of a bundle whose rows were measured for a model."""

MEANING: dict[str, str] = {
    "prompt": "the conversation before the turn, a list of messages",
    "completion": "the turn that stands, or for KTO that is labelled; a list of one message",
    "label": "true: a turn to learn; false: one to unlearn",
    "chosen": "the preferred turn, a list of one message",
    "rejected": "the turn it was preferred to, a list of one message",
    "margin": "how much better the chosen turn is, 0 to 1: the reward gap that is asked for",
    "tools": "JSON string: the tools the agent had, null without any",
    "pair_id": "the row's id, the same in every export",
    "pair_kind": "what it was read from: approve, edit, reject, retry, pairwise, ranking, rating, choice, answer",
    "proposal_id": "the decided proposal",
    "parent_id": "the refused first attempt of a retry",
    "group_id": "what must not be torn apart by the split, as the agent stated it",
    "task_id": "the task, as the agent stated it",
    "split": "train or test",
    "n_votes": "reviews that the row rests on",
    "agreement": "share of them that are for the chosen side or the label, null below two",
    "aggregation": "how the votes became one: single; decision (its own rule, such as a quorum); latest or senior of several texts; majority, dawid_skene or bradley_terry",
    "weight": "1, or 1 / rows of its set where one decision gives several of a sort",
    "chosen_by": "person or agent: who wrote the chosen or labelled turn",
    "agent_id": "who proposed",
    "agent_version": "its version, as stated",
    "model_id": "its model, as stated",
    "decided_by": "people, import, or policy: it ran by itself, or was handed over, and people looked at it later",
    "policy_version": "fingerprint of the policy in force at the decision",
    "reviewers": "the reviewers, numbered in the order in which they appear in this bundle",
    "edit_distance": "edits: share of the tokens that the person changed, 0 to 1",
    "guidance": "retries: what the reviewer asked for; never part of the prompt",
    "review_seconds": "mean time from opening to deciding, in seconds, where known",
    "created_at": "when it was proposed, UTC",
    "decided_at": "when it was decided, UTC",
    "prompt_tokens": "tokens of the prompt and the tools, as the measuring model's template writes them",
    "completion_tokens": "tokens of the completion after that prompt, its end included",
    "chosen_tokens": "tokens of the chosen turn after that prompt, its end included",
    "rejected_tokens": "tokens of the other turn after that prompt, its end included",
}
"""What each column holds."""

Sort = Literal["chat", "texts", "text", "float", "count", "flag", "time"]
"""What a column is made of; a chat is a list of messages, each a text of JSON."""

_SORTS: dict[str, Sort] = {
    "prompt": "chat",
    "completion": "chat",
    "chosen": "chat",
    "rejected": "chat",
    "label": "flag",
    "margin": "float",
    "n_votes": "count",
    **dict.fromkeys(("prompt_tokens", "completion_tokens"), "count"),
    **dict.fromkeys(("chosen_tokens", "rejected_tokens"), "count"),
    "agreement": "float",
    "weight": "float",
    "reviewers": "texts",
    "edit_distance": "float",
    "review_seconds": "float",
    "created_at": "time",
    "decided_at": "time",
}
CHATS = tuple(name for name, sort in _SORTS.items() if sort == "chat")
_ARROW: dict[Sort, pa.DataType] = {
    "chat": pa.list_(pa.string()),
    "texts": pa.list_(pa.string()),
    "text": pa.string(),
    "float": pa.float64(),
    "count": pa.int64(),
    "flag": pa.bool_(),
    "time": pa.timestamp("us", "UTC"),
}


def names(kind: Kind, *, counted: bool = False) -> list[str]:
    """The columns of a kind of bundle, TRL's first.

    Args:
        kind: What the bundle holds.
        counted: Whether its rows say how many tokens they are.
    """
    other = {name for of in (SIDES, TOKENS) for names in of.values() for name in names}
    other -= {*SIDES[kind], *(TOKENS[kind] if counted else ())}
    return [name for name in MEANING if name not in other]


def sort(name: str) -> Sort:
    """What a column is made of."""
    return _SORTS.get(name, "text")


def record(kind: Kind, row: Row, split: Split, reviewers: list[str]) -> Record:
    """A row as plain values by column.

    Args:
        kind: What the bundle holds.
        row: The row.
        split: Which split it goes to.
        reviewers: Pseudonyms of those who made the decision.
    """
    proposal, decision, parent = row.episode.row, row.episode.decision_row, row.parent
    found = {
        "prompt": row.prompt,
        "tools": row.tools,
        "pair_id": row.id,
        "pair_kind": row.kind,
        "proposal_id": proposal.id,
        "parent_id": parent.row.id if parent else None,
        "group_id": proposal.group_id or row.origin.row.group_id,
        "task_id": proposal.task_id or row.origin.row.task_id,
        "split": split,
        "n_votes": row.n_votes,
        "agreement": row.agreement,
        "aggregation": row.aggregation if row.n_votes else None,
        "weight": row.weight,
        "chosen_by": "person" if row.by_person else "agent",
        "agent_id": proposal.agent_id,
        "agent_version": proposal.agent_version,
        "model_id": proposal.model_id,
        "decided_by": decision.by,
        "policy_version": decision.policy_version,
        "reviewers": reviewers,
        "edit_distance": row.edit_distance,
        "guidance": votes.guidance(votes.standing(parent).heard) if parent else None,
        "review_seconds": votes.review_seconds(row.heard),
        "created_at": proposal.created_at,
        "decided_at": decision.decided_at,
    }
    for name in SIDES[kind]:
        found[name] = _SIDE[name](row)
    return found


_SIDE: dict[str, Callable[[Row], Any]] = {
    "completion": lambda row: [row.chosen],
    "chosen": lambda row: [row.chosen],
    "rejected": lambda row: [row.rejected],
    "label": lambda row: row.label,
    "margin": lambda row: row.margin,
}


def pack(record: Record) -> None:
    """Make the messages of a record JSON, in place: many records wait to be written."""
    for name in CHATS:
        if name in record:
            record[name] = list(map(_encode, record[name]))


def batch(kind: Kind, records: list[Record], *, counted: bool = False) -> Any:
    """Packed records as an Arrow record batch."""
    found = names(kind, counted=counted)
    return pa.RecordBatch.from_arrays([_array(name, records) for name in found], found)


def _array(name: str, records: list[Record]) -> Any:
    return pa.array([record[name] for record in records], _ARROW[sort(name)])


_encode = msgspec.json.Encoder().encode
