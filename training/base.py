"""The model that a training starts from, and whether it can take the rows.

In: a model folder, rows. Out: its tokenizer, or an error that says what to do.
"""

import json
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from trl.chat_template_utils import supports_tool_calling

from errata.errors import Malformed
from training.columns import SIDES
from training.rows import Kind

_LOOK = 1_000
"""Rows that are measured for an error's message."""


def tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model.

    Raises:
        Malformed: The folder holds no model, an adapter alone, no tokenizer or no chat template.
    """
    if not (folder / "config.json").is_file():
        adapter = (folder / "adapter_config.json").is_file()
        raise Malformed(
            f"{folder} holds an adapter alone: start from the model folder that it lies in, or merge "
            "it into its model first"
            if adapter
            else f"{folder} is no folder with a model",
            "model",
        )
    try:
        # Without files transformers makes one up that knows no word.
        found = AutoTokenizer.from_pretrained(folder) if any(folder.glob("*token*")) else None
    except (OSError, ValueError, KeyError, ImportError):
        found = None
    if found is None:
        raise Malformed(
            f"{folder} has no tokenizer that can be read: copy the files of the model's tokenizer "
            "into it",
            "model",
        )
    if not found.chat_template:
        raise Malformed(
            f"{folder} has no chat template, so it cannot be told who says what: start from the "
            "model's instruct version, or put a chat_template.jinja into the folder",
            "model",
        )
    return found


def check_calls(folder: Path, speaker: PreTrainedTokenizerBase, rows: Dataset) -> None:
    """Check that rows with tool calls reach the model.

    Raises:
        Malformed: The chat template leaves calls out, so that a turn that is a call would be empty.
    """
    if _calls(rows) and not supports_tool_calling(speaker):
        raise Malformed(
            f"the bundle has tool calls, and the chat template of {folder} leaves them out: start "
            "from a model that calls tools, or put a template that writes them into the folder's "
            "chat_template.jinja",
            "model",
        )


def _calls(rows: Dataset) -> bool:
    chats = [name for name in ("prompt", "completion", "chosen") if name in rows.column_names]
    for chunk in (chunk for name in chats for chunk in rows.data.column(name).chunks):
        # JSON as text, unparsed; in a message's words the quotes would be escaped.
        if any('"tool_calls"' in text for text in chunk.flatten().to_pylist()):
            return True
    return False


def too_long(speaker: PreTrainedTokenizerBase, rows: Dataset, kind: Kind, limit: int) -> Malformed:
    """The error that none of a bundle's rows can be trained on.

    Args:
        speaker: The model's tokenizer.
        rows: The bundle's rows.
        kind: The bundle's kind.
        limit: The setting `max_length`, in tokens.
    """

    def length(row: dict[str, Any], *side: dict[str, Any]) -> int:
        tools = json.loads(row["tools"]) if row["tools"] else None
        turns = [*row["prompt"], *side]
        return len(
            speaker.apply_chat_template(
                turns, tools=tools, add_generation_prompt=not side, tokenize=True, return_dict=False
            )
        )

    looked = [dict(row) for row in rows.take(min(_LOOK, len(rows)))]
    sides = [side for side in SIDES[kind] if side not in ("label", "margin")]
    prompt = min(length(row) for row in looked)
    whole = min(max(length(row, *row[side]) for side in sides) for row in looked)
    return Malformed(
        f"no row can be trained on within max_length = {limit} tokens: of {len(looked)} rows the "
        f"shortest prompt alone has {prompt}, the shortest with its answer {whole}; raise max_length",
        "max_length",
    )
