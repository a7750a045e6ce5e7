"""The demo's training, in a process of its own so that nobody else loads PyTorch.

In: two bundles, a folder. Out: one line of JSON with the losses. Run as
`python -m errata.demo.learning SFT_BUNDLE DPO_BUNDLE OUT`.
"""

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, cast

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from errata.stages import open_stages

open_stages()

from datasets import load_dataset  # noqa: E402 - the stages' path and the environment come first

from training import dpo, sft, tiny  # noqa: E402
from training.recipe import Trained  # noqa: E402


class Learned(NamedTuple):
    """The two trainings."""

    sft: Trained
    dpo: Trained


def learn(sft_bundle: Path, dpo_bundle: Path, out: Path) -> Learned:
    """Make a tiny model, teach it what people stood by, then what they preferred.

    Args:
        sft_bundle: Exported for SFT.
        dpo_bundle: Exported for DPO.
        out: Folder for the three models.
    """
    model = tiny.make(out / "tiny", _texts(sft_bundle), seed=0)
    taught = sft.train(
        sft.SftConfig(
            data=sft_bundle,
            model=model,
            out=out / "sft",
            epochs=40,
            learning_rate=3e-3,
            batch_size=8,
        )
    )
    tuned = dpo.train(
        dpo.DpoConfig(
            data=dpo_bundle,
            model=taught.path,
            out=out / "dpo",
            epochs=12,
            learning_rate=1e-3,
            batch_size=8,
        )
    )
    return Learned(taught, tuned)


def _texts(bundle: Path) -> list[str]:
    """What the tokenizer learns its words from: everything said in the bundle."""
    rows = cast(Iterable[dict[str, Any]], load_dataset(str(bundle), "sft", split="train"))
    return [
        turn["content"] or json.dumps(turn["tool_calls"])
        for row in rows
        for turn in [*row["prompt"], *row["completion"]]
    ]


if __name__ == "__main__":
    done = learn(*(Path(argument) for argument in sys.argv[1:4]))
    losses = {
        name: {"loss_first": one.loss_first, "loss_last": one.loss_last}
        for name, one in (("sft", done.sft), ("dpo", done.dpo))
    }
    print(json.dumps(losses))  # noqa: T201 - this line is the module's output
