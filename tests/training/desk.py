"""A desk whose agent writes curtly and whose people write kindly: data for training tests."""

import random
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from review.history import Episode
from tests.training.episodes import candidates, decided, nobody, proposal
from training import bundle, tiny

torch.set_num_threads(1)  # a model of this size only waits for the others

NAMES = [
    "Ann",
    "Ben",
    "Cleo",
    "Dan",
    "Eva",
    "Finn",
    "Gus",
    "Hana",
    "Ida",
    "Jon",
    "Kim",
    "Lea",
    "Max",
    "Nia",
    "Ola",
    "Pia",
]
THINGS = ["lamp", "chair", "desk", "phone", "cable", "mug", "rug", "clock"]

_order = list(range(len(NAMES) * len(THINGS)))
random.Random(0).shuffle(_order)
TAUGHT, HELD_OUT = _order[:96], _order[96:112]


def request(n: int) -> str:
    return f"{NAMES[n % 16]} asks where the {THINGS[n // 16]} is."


def curt(n: int) -> str:
    return f"Hi {NAMES[n % 16]}, your {THINGS[n // 16]} is late. Please wait."


def kind(n: int) -> str:
    return f"Dear {NAMES[n % 16]}, sorry: your {THINGS[n // 16]} is late. We will call you today."


def draft(n: int, text: str, outcome: str = "approve", **fields: str) -> Episode:
    effective = fields or None
    of = proposal(f"p{n}", content=text, message=request(n))
    return decided(of, outcome, effective=effective)


def habits() -> list[Episode]:
    """What the agent wrote before: curt, now and then kind."""
    return [draft(n, kind(n) if at % 5 == 0 else curt(n)) for at, n in enumerate(TAUGHT)]


def corrections() -> list[Episode]:
    """36 curt drafts that a person rewrote."""
    return [draft(n, curt(n), "edit", content=kind(n)) for n in TAUGHT[:36]]


def model(folder: Path) -> Path:
    texts = [text(n) for n in TAUGHT + HELD_OUT for text in (request, curt, kind)]
    return tiny.make(folder, texts, seed=0)


class Ground(NamedTuple):
    """Bundles and an untrained model."""

    sft: Path
    dpo: Path
    weighted: Path
    """A DPO bundle whose rows differ in weight."""
    kto: Path
    reward: Path
    base: Path


def ground(folder: Path) -> Ground:
    made = Ground(*(folder / name for name in Ground._fields))
    bundle.export(habits(), made.sft, parents=nobody, kind="sft", split=0)
    bundle.export(corrections(), made.dpo, parents=nobody, kind="dpo", split=0)
    uneven = bundle.export(
        [*corrections()[:5], ranking()],
        made.weighted,
        parents=nobody,
        kind="dpo",
        split=0,
        strategy="all",
    )
    assert uneven.rows["train"] == 5 + 45
    mixed = [*corrections()[:12], draft(TAUGHT[40], curt(TAUGHT[40]), "reject")]
    bundle.export(mixed, made.kto, parents=nobody, kind="kto", split=0)
    bundle.export(corrections(), made.reward, parents=nobody, kind="reward", split=0)
    model(made.base)
    return made


def ranking() -> Episode:
    """Ten candidates in an order: 45 pairs, which share a weight of 1."""
    of = proposal("q", "candidates", candidates=candidates(*map(str, range(10))), message="?")
    order = [[chr(97 + n)] for n in range(10)]
    return decided(of, "approve", {"verdict": "approve", "ranking": order})


class Writer:
    """A trained model, asked about held-out requests."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model: Any = AutoModelForCausalLM.from_pretrained(folder).eval()

    def _ids(self, n: int, text: str | None) -> list[int]:
        turns = [{"role": "user", "content": request(n)}]
        if text is not None:
            turns.append({"role": "assistant", "content": text})
        return self.tokenizer.apply_chat_template(
            turns, add_generation_prompt=text is None, tokenize=True, return_dict=False
        )

    def write(self, n: int) -> str:
        prompt = torch.tensor([self._ids(n, None)])
        with torch.no_grad():
            answer = self.model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=60,
                do_sample=False,
            )
        return self.tokenizer.decode(answer[0][prompt.shape[1] :], skip_special_tokens=True)

    def log_probability(self, n: int, text: str) -> float:
        """Of a whole answer, in nats."""
        start, ids = len(self._ids(n, None)), self._ids(n, text)
        with torch.no_grad():
            scores = self.model(torch.tensor([ids])).logits[0].log_softmax(-1)
        return sum(float(scores[at - 1, ids[at]]) for at in range(start, len(ids)))
