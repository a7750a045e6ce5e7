"""A model that is asked: what it writes, and how likely it finds a turn.

In: a folder with a chat model, conversations. Out: texts, log-probabilities.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from errata.errors import Malformed
from training.turns import Turn


class Asked(NamedTuple):
    """A conversation that waits for the assistant."""

    prompt: list[Turn]
    tools: str | None
    """JSON, as in the `tools` column."""


class Model:
    """A chat model for evaluation.

    Args:
        folder: As `transformers` loads it.
        max_length: Tokens of a conversation with its answer.

    Raises:
        Malformed: The folder holds no model, or its tokenizer no chat template.
    """

    def __init__(self, folder: Path, *, max_length: int) -> None:
        if not (folder / "config.json").is_file():
            raise Malformed(f"{folder} is no folder with a model", "model")
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        if not self._tokenizer.chat_template:
            raise Malformed(
                f"the tokenizer in {folder} has no chat template: put a chat_template.jinja there",
                "model",
            )
        self._max_length = max_length
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        loaded: Any = AutoModelForCausalLM.from_pretrained(folder)
        self._model = loaded.to(self._device).eval()

    def fits(self, asked: Asked, *turns: Turn) -> bool:
        """Whether the conversation with each of the turns is within the length."""
        return all(len(self._ids(asked, turn)) <= self._max_length for turn in turns)

    def write(self, asked: Asked, longest: int) -> str:
        """The answer by greedy decoding.

        Args:
            asked: The conversation.
            longest: Tokens of the answer.
        """
        ids = self._ids(asked)
        room = min(longest, self._max_length - len(ids))
        if room <= 0:
            return ""
        prompt = torch.tensor([ids], device=self._device)
        with torch.no_grad():
            written = self._model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=room,
                do_sample=False,
                pad_token_id=self._tokenizer.pad_token_id or self._tokenizer.eos_token_id,
            )
        return self._tokenizer.decode(written[0][len(ids) :], skip_special_tokens=True).strip()

    def log_probability(self, asked: Asked, turn: Turn) -> float:
        """Of a whole turn with what ends it, in nats."""
        start, ids = len(self._ids(asked)), self._ids(asked, turn)
        with torch.no_grad():
            logits = self._model(torch.tensor([ids], device=self._device)).logits[0]
        scores = logits[start - 1 : -1].float().log_softmax(-1)
        meant = torch.tensor(ids[start:], device=self._device)
        return float(scores.gather(1, meant.unsqueeze(1)).sum())

    def _ids(self, asked: Asked, turn: Turn | None = None) -> list[int]:
        turns = asked.prompt if turn is None else [*asked.prompt, turn]
        return self._tokenizer.apply_chat_template(
            turns,
            tools=None if asked.tools is None else json.loads(asked.tools),
            add_generation_prompt=turn is None,
            tokenize=True,
            return_dict=False,
        )
