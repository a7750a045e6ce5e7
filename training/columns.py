"""The columns of a bundle.

In: rows. Out: records of plain values in the order of the columns, and the columns' types for Arrow
and for Hugging Face's `datasets`.

Messages are JSON in Arrow, not structs: a struct would give every call the arguments of every other
tool, as nulls, and a model learns to write them.
"""

import json
from typing import Any, Literal

import pyarrow as pa
from datasets import Features, Json, List, Value

from training import votes
from training.pairs import Kind, Row

Split = Literal["train", "test"]
Record = dict[str, Any]

SIDES: dict[Kind, tuple[str, ...]] = {"sft": ("completion",), "dpo": ("chosen", "rejected")}
"""TRL's names for what follows the prompt."""

MEANING: dict[str, str] = {
    "prompt": "the conversation before the turn, a list of messages",
    "completion": "the approved turn, a list of one message",
    "chosen": "the preferred turn, a list of one message",
    "rejected": "the turn it was preferred to, a list of one message",
    "tools": "JSON string: the tools the agent had, null without any",
    "pair_id": "the row's id, the same in every export",
    "pair_kind": "approve, edit, retry, pairwise, ranking or choice: what the row was read from",
    "proposal_id": "the decided proposal",
    "parent_id": "the refused first attempt of a retry",
    "group_id": "what must not be torn apart by the split, as the agent stated it",
    "task_id": "the task, as the agent stated it",
    "split": "train or test",
    "n_votes": "reviews that the row rests on",
    "agreement": "share of them that are for the chosen side, null where none compared the two",
    "weight": "1, or 1 / rows of its set where one set of candidates gives several pairs",
    "chosen_by": "person or agent: who wrote the chosen side",
    "agent_id": "who proposed",
    "agent_version": "its version, as stated",
    "model_id": "its model, as stated",
    "policy_version": "fingerprint of the policy in force at the decision",
    "reviewers": "the reviewers, numbered in the order in which they appear in this bundle",
    "edit_distance": "edits: share of the tokens that the person changed, 0 to 1",
    "guidance": "retries: what the reviewer asked for; never part of the prompt",
    "review_seconds": "mean time from opening to deciding, in seconds, where known",
    "created_at": "when it was proposed, UTC",
    "decided_at": "when it was decided, UTC",
}
"""What each column holds."""

_FLOATS = {"agreement", "weight", "edit_distance", "review_seconds"}
_TIMES = {"created_at", "decided_at"}
_CHATS = {"prompt", "completion", "chosen", "rejected"}


def names(kind: Kind) -> list[str]:
    """The columns of a kind of bundle, TRL's first."""
    other = {side for sides in SIDES.values() for side in sides} - set(SIDES[kind])
    return [name for name in MEANING if name not in other]


def features(kind: Kind) -> Features:
    """The columns' types as `datasets` knows them."""
    return Features({name: _feature(name) for name in names(kind)})


def _feature(name: str) -> Any:
    if name in _CHATS:
        return List(Json())
    if name in _FLOATS:
        return Value("float64")
    if name in _TIMES:
        return Value("timestamp[us, tz=UTC]")
    if name == "reviewers":
        return List(Value("string"))
    return Value("int64" if name == "n_votes" else "string")


def record(row: Row, split: Split, reviewers: list[str]) -> Record:
    """A row as plain values, in the order of its columns.

    Args:
        row: The row.
        split: Which split it goes to.
        reviewers: Pseudonyms of those who made the decision.
    """
    proposal, decision, parent = row.episode.row, row.episode.decision_row, row.parent
    kind: Kind = "sft" if row.rejected is None else "dpo"
    sides = [[side] for side in (row.chosen, row.rejected) if side is not None]
    return {
        "prompt": row.prompt,
        **dict(zip(SIDES[kind], sides, strict=True)),
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
        "weight": row.weight,
        "chosen_by": "person" if row.by_person else "agent",
        "agent_id": proposal.agent_id,
        "agent_version": proposal.agent_version,
        "model_id": proposal.model_id,
        "policy_version": decision.policy_version,
        "reviewers": reviewers,
        "edit_distance": decision.edit_distance if row.kind == "edit" else None,
        "guidance": votes.guidance(parent) if parent else None,
        "review_seconds": votes.review_seconds(row.episode),
        "created_at": proposal.created_at,
        "decided_at": decision.decided_at,
    }


def batch(kind: Kind, records: list[Record]) -> Any:
    """Records as an Arrow record batch with the columns' exact types."""
    schema = features(kind).arrow_schema
    # pyarrow builds no JSON columns from Python values: text first, then the type.
    chats = pa.list_(pa.string())
    text = pa.schema(
        [field.with_type(chats) if field.name in _CHATS else field for field in schema]
    )
    rows = [
        {name: _dump(value) if name in _CHATS else value for name, value in one.items()}
        for one in records
    ]
    return pa.RecordBatch.from_pylist(rows, schema=text).cast(schema)


def _dump(messages: list[dict[str, Any]]) -> list[str]:
    return [json.dumps(message, ensure_ascii=False) for message in messages]


def line(one: Record) -> str:
    """A record as one line of JSON; times in ISO 8601."""
    plain = {name: value.isoformat() if name in _TIMES else value for name, value in one.items()}
    return json.dumps(plain, ensure_ascii=False) + "\n"
