"""How `accelerate launch` starts a training on many GPUs.

In: a name. Out: the path of a file of its settings. A file says how the model is spread; how many
machines and processes there are is said on the command line, see docs/howto/training.md.
"""

from pathlib import Path
from typing import Literal

Name = Literal["multi_gpu", "fsdp2", "zero3"]
"""The whole model on each GPU; its weights spread over all by PyTorch; by DeepSpeed."""


def path(name: Name) -> Path:
    """The file with this name."""
    return Path(__file__).parent / f"{name}.yaml"
