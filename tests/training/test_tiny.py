"""The model made on the spot."""

from pathlib import Path
from typing import Any

from transformers import AutoModelForCausalLM, AutoTokenizer

from training import tiny

TEXTS = ["Where is order 12?", "It has shipped."] * 5
CALL = {"type": "function", "function": {"name": "look", "arguments": {"z": 1, "a": "é"}}}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
TURNS: list[dict[str, Any]] = [
    {"role": "system", "content": "Help."},
    {"role": "user", "content": "Where is order 12?"},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "name": "look", "content": "shipped"},
    {"role": "assistant", "content": "It has shipped."},
]


def test_the_same_texts_and_seed_make_the_same_model(tmp_path: Path):
    one, two, other = (
        tiny.make(tmp_path / name, TEXTS, seed=seed)
        for name, seed in [("one", 1), ("two", 1), ("other", 2)]
    )
    for path in one.iterdir():
        assert path.read_bytes() == (two / path.name).read_bytes()
    weights = "model.safetensors"
    assert (one / weights).read_bytes() != (other / weights).read_bytes()


def test_it_is_small_and_loads(tmp_path: Path):
    folder = tiny.make(tmp_path, TEXTS, seed=0)
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert 40_000 < sum(weight.numel() for weight in model.parameters()) < 200_000


def test_the_template_writes_tools_and_calls_as_they_are(tmp_path: Path):
    tokenizer = AutoTokenizer.from_pretrained(tiny.make(tmp_path, TEXTS, seed=0))
    assert tokenizer.apply_chat_template(TURNS, tools=[TOOL], tokenize=False) == (
        '<|tools|>[{"type": "function", "function": {"name": "look", "parameters": '
        '{"type": "object"}}}]<|end|>'
        "<|system|>Help.<|end|><|user|>Where is order 12?<|end|>"
        '<|assistant|><tool_call>{"name": "look", "arguments": {"z": 1, "a": "é"}}</tool_call>'
        "<|end|><|tool|>shipped<|end|><|assistant|>It has shipped.<|end|>"
    )


def test_a_prompt_is_the_beginning_of_the_prompt_with_its_answer(tmp_path: Path):
    tokenizer = AutoTokenizer.from_pretrained(tiny.make(tmp_path, TEXTS, seed=0))
    for at in (2, 4):
        prompt, whole = (
            tokenizer.apply_chat_template(
                turns, add_generation_prompt=ask, tokenize=True, return_dict=False
            )
            for turns, ask in [(TURNS[:at], True), (TURNS[: at + 1], False)]
        )
        assert whole[: len(prompt)] == prompt
        assert whole[-1] == tokenizer.eos_token_id
