"""docs/policy.md: every example is a good policy, and every key has its line."""

import re
from pathlib import Path
from typing import get_args

import pytest

from ingestion import policy
from ingestion.conditions import OPERATORS
from ingestion.policy_file import parse

TEXT = (Path(__file__).parents[2] / "docs" / "policy.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
PARTS = (
    policy.Policy,
    policy.Tool,
    policy.Rate,
    policy.Quorum,
    policy.Confidence,
    policy.Rule,
    policy.RedLine,
)
KEYS = {field.alias or name for part in PARTS for name, field in part.model_fields.items()}


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_a_good_policy(example: str) -> None:
    parse(example if example.startswith("version") else f"version: 1\n{example}")


@pytest.mark.parametrize("key", sorted(KEYS))
def test_every_key_has_its_line_and_stands_in_an_example(key: str) -> None:
    prose = re.sub(r"```yaml\n.*?```", "", TEXT, flags=re.DOTALL)
    assert f"`{key}`" in prose
    assert any(re.search(rf"\b{key}:", example) for example in EXAMPLES)


@pytest.mark.parametrize("word", [*get_args(policy.OnTimeout), *policy.STRICTER, *OPERATORS])
def test_every_closed_word_is_mentioned(word: str) -> None:
    assert re.search(rf"\b{word}\b", TEXT)
