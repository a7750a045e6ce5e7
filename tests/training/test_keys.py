"""Rows as numbers: what makes two rows the same one."""

import unicodedata
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training import keys

SPACED = st.text(st.sampled_from("ab \t\n\r\x0b\x0c\x1c\x1f\x00é\u0301\u00a0\u3000"))


def record(**fields: Any) -> dict[str, Any]:
    said = {"role": "assistant", "content": "yes"}
    prompt = [{"role": "user", "content": "why?"}]
    blank = {"prompt": prompt, "chosen": [said], "rejected": [{**said, "content": "no"}]}
    return {**blank, "tools": None, "pair_id": "1", "split": "train", **fields}


@given(st.lists(SPACED))
def test_white_space_is_one_space_and_none_at_the_ends(said: list[str]) -> None:
    words = unicodedata.normalize("NFC", "\0".join(said)).split()
    assert keys.normal(said) == " ".join(words).encode()


@given(st.one_of(st.none(), SPACED), SPACED)
def test_tools_and_prompt_make_one_number_together(tools: str | None, asked: str) -> None:
    prompt = [{"role": "user", "content": asked}]
    together = keys.normal([tools or "", *keys.pieces(prompt)])
    if not (tools or "x")[:1].isspace():  # tools are JSON
        assert keys.key(record(tools=tools, prompt=prompt), "")[0] == keys.number(together)


@given(st.lists(st.integers(0, 2**64 - 1)), st.lists(st.integers(0, 2**64 - 1)))
def test_among_says_what_isin_says(some: list[int], others: list[int]) -> None:
    ours, theirs = np.array(some, np.uint64), np.array([*others, *some[::2]], np.uint64)
    assert (keys.among(ours, theirs) == np.isin(ours, theirs)).all()


def test_other_tools_make_another_prompt() -> None:
    numbers = {keys.key(record(tools=tools), "")[0] for tools in (None, "[1]", "[2]", "[1, 2]")}
    assert len(numbers) == 4
