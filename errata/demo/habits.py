"""The mail room's first model, made and taught in a process of its own, for PyTorch's sake.

In: an SFT bundle of past letters, a folder. Out: the model's folder. Run as
`python -m errata.demo.habits BUNDLE OUT`.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from errata.stages import open_stages

open_stages()

from errata.demo import letters  # noqa: E402 - the stages' path and the environment come first
from training import sft, tiny  # noqa: E402


def teach(bundle: Path, out: Path) -> None:
    """Make a tiny model that answers as past letters were answered."""
    model = tiny.make(out.with_name("tiny"), _words(), seed=0)
    sft.train(
        sft.SftConfig(
            data=bundle, model=model, out=out, epochs=40, learning_rate=3e-3, batch_size=8
        )
    )


def _words() -> list[str]:
    """What the tokenizer learns its words from; it teaches the model nothing."""
    return [text for letter in letters.letters() for text in letter]


if __name__ == "__main__":
    teach(*map(Path, sys.argv[1:3]))
