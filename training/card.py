"""The README of a bundle: a card that `datasets` reads and a person can.

In: what was exported. Out: Markdown with a YAML head.
"""

from collections.abc import Mapping
from typing import Any

import yaml

from training import columns
from training.columns import Split
from training.pairs import Kind
from training.reasons import REASONS, Reason
from training.shards import Format


def write(
    kind: Kind,
    format_: Format,
    *,
    rows: Mapping[Split, int],
    dropped: Mapping[Reason, int],
    without_context: int,
) -> str:
    """The card.

    Args:
        kind: What the bundle holds.
        format_: How its files end.
        rows: Rows per split. A split without rows has no entry in the head: `datasets` refuses to
            load one.
        dropped: What was left out, by reason.
        without_context: Rows whose prompt says nothing.
    """
    files = [
        {"split": split, "path": f"{kind}/{split}-*.{format_}"}
        for split, count in rows.items()
        if count
    ]
    head: dict[str, Any] = {"tags": ["errata", "human-feedback", kind]}
    if files:
        features = columns.features(kind)._to_yaml_list()  # pyright: ignore[reportPrivateUsage]
        head["configs"] = [{"config_name": kind, "default": True, "data_files": files}]
        head["dataset_info"] = [{"config_name": kind, "features": features}]
    counts = "\n".join(f"| {split} | {count} |" for split, count in rows.items())
    fields = "\n".join(f"| `{name}` | {columns.MEANING[name]} |" for name in columns.names(kind))
    return f"""---
{yaml.safe_dump(head, sort_keys=False)}---

# What people decided, as rows for {kind.upper()}

Every row is one turn of the agent that a person approved, wrote or preferred. `manifest.json` has
the hash of every file and says which decisions the rows come from.

    errata train {kind} --data . --model MODEL --out OUT
    trl {kind} --dataset_name . --dataset_config {kind} --model_name_or_path MODEL

| split | rows |
|---|---|
{counts}

{_left_out(dropped)}
{_context(without_context)}
## Columns

| column | meaning |
|---|---|
{fields}

The texts are what agents and people wrote, personal data included. Reviewers are numbered, not
named.
"""


def _left_out(dropped: Mapping[Reason, int]) -> str:
    if not dropped:
        return "Nothing was left out."
    lines = "\n".join(f"| {n} | {reason}: {REASONS[reason]} |" for reason, n in dropped.items())
    return f"## Left out\n\nDecisions, or pairs of one.\n\n| count | reason |\n|---|---|\n{lines}\n"


def _context(rows: int) -> str:
    if not rows:
        return ""
    return (
        f"\nRows with an empty prompt: {rows}. Their proposals carried no conversation, message or "
        "goal; a model learns from them what to say, but not when.\n"
    )
