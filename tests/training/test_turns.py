"""Rows in the words of common models' chat templates."""

from pathlib import Path
from typing import Any

import pytest
import trl
from transformers.utils.chat_template_utils import render_jinja_template

from errata.protocol import Proposal
from review import stored
from tests.training.episodes import proposal
from training import turns

TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "look",
        "description": "Look an order up.",
        "parameters": {"type": "object", "properties": {"order": {"type": "integer"}}},
    },
}
TEMPLATES = Path(trl.__file__).parent / "chat_templates"


@pytest.fixture
def asked() -> Proposal:
    """A call after a history with a call without text, its result and a plain answer."""
    before = {"id": "c1", "function": {"name": "look", "arguments": '{"order": 7}'}}
    return proposal(
        kind="action",
        action={"name": "look", "arguments": {"order": 8}},
        tools=[TOOL],
        prompt=[
            {"role": "system", "content": "Help."},
            {"role": "user", "content": "Order 7?"},
            {"role": "assistant", "content": None, "tool_calls": [before]},
            {"role": "tool", "tool_call_id": "c1", "content": "shipped"},
            {"role": "assistant", "content": "It has shipped."},
            {"role": "user", "content": "And 8?"},
        ],
    )


@pytest.mark.parametrize("name", ["qwen3", "llama3_1", "gptoss", "gemma4", "glm4moe"])
def test_a_models_own_template_writes_a_row(asked: Proposal, name: str):
    answer = turns.said(action=asked.action)
    assert answer is not None
    text, _ = render_jinja_template(
        conversations=[[*turns.prompt(asked), answer]],
        chat_template=(TEMPLATES / f"{name}.jinja").read_text(encoding="utf-8"),
        tools=[TOOL],
        bos_token="",
        eos_token="",
    )
    for part in ("Order 7?", "It has shipped.", "And 8?", "look"):
        assert part in text[0]
    assert "None" not in text[0]
    assert text[0].rindex("look") > text[0].index("And 8?")


@pytest.mark.parametrize("tools", [[TOOL], [TOOL, TOOL], [], None])
def test_tools_are_told_as_they_were_stated_however_they_are_stored(
    asked: Proposal, tools: list[Any] | None
):
    read = stored.reader(Proposal, unread=frozenset({"tools"}))
    stated = asked.model_copy(update={"tools": None if tools is None else tuple(tools)})
    for kept in (stated.model_dump_json(), stated.model_dump_json(indent=2)):
        assert turns.tools(read(kept)) == turns.tools(stated)
