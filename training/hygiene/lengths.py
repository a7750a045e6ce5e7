"""Rows that a model would read cut short.

In: records and a model's tokenizer. Out: whether anything is left to learn from.
"""

from functools import cache
from typing import Any

import msgspec
from transformers import AutoTokenizer

from errata.errors import Malformed
from training.columns import Record
from training.hygiene.checks import Model


def useless(record: Record, model: Model) -> bool:
    """Whether TRL would learn nothing: it keeps the first `max_length` tokens of a row.

    So it is where the prompt alone is as long, or two sides differ only after the cut.
    """
    tokens = _tokens(model.path)
    tools = msgspec.json.decode(record["tools"]) if record["tools"] else None
    prompt = _ids(tokens, record["prompt"], tools, open_=True)
    if len(prompt) >= model.max_length:
        return True
    if not record.get("rejected"):
        return False
    sides = (
        _ids(tokens, record["prompt"] + record[side], tools)[: model.max_length]
        for side in ("chosen", "rejected")
    )
    return next(sides) == next(sides)


def _ids(tokens: Any, chat: list[Any], tools: Any, *, open_: bool = False) -> list[int]:
    return tokens.apply_chat_template(
        chat, tools=tools, add_generation_prompt=open_, tokenize=True, return_dict=False
    )


def check(model: Model) -> None:
    """Look whether the rows can be written in the model's form.

    Raises:
        Malformed: There is no tokenizer, or it has no chat template.
    """
    if getattr(_tokens(model.path), "chat_template", None) is None:
        raise Malformed(
            f"the model at {model.path} has no chat template, so its rows have no length: "
            "put a chat_template.jinja beside its tokenizer, or leave --model out",
            "model",
        )


@cache
def _tokens(path: str) -> Any:
    try:
        return AutoTokenizer.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError) as error:
        raise Malformed(f"{path} holds no model's tokenizer: {error}", "model") from error
