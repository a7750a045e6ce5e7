"""The environment that the Argilla server runs in, apart from ours.

In: the embedded project's lock. Out: a Python that has exactly what it says. Argilla 2.8 needs
older versions of FastAPI and pydantic than we do, so the two cannot share one environment.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import uv
from filelock import FileLock

from errata.errors import Unavailable

EMBEDDED = Path(__file__).parent / "embedded"
LOCK = EMBEDDED / "requirements.lock"
PYTHON = ">=3.11,<3.13"
"""What argilla-server 2.8 and its pins run on."""


def folder() -> Path:
    """Where the environment is kept: shared by all data folders, one for each content of the lock."""
    base = os.environ.get("ERRATA_CACHE") or os.environ.get("XDG_CACHE_HOME")
    cache = Path(base) if base else Path.home() / ".cache"
    content = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]
    return cache / "errata" / f"argilla-{content}"


def build(say: Callable[[str], None]) -> Path:
    """Build the environment when it is not there yet.

    Args:
        say: Told what takes long.

    Returns:
        Its Python.

    Raises:
        Unavailable: It could not be built; the message has the installer's last words.
    """
    place = folder()
    python = place / "bin" / "python"
    done = place / ".complete"
    if done.exists():
        return python
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{place}.lock"):
        if not done.exists():
            say("Installing the Argilla server in an environment of its own (once) …")
            shutil.rmtree(place, ignore_errors=True)
            _uv("venv", "--python", PYTHON, str(place))
            _uv("pip", "install", "--python", str(python), "--require-hashes", "-r", str(LOCK))
            done.touch()
    return python


def _uv(*arguments: str) -> None:
    done = subprocess.run(
        [uv.find_uv_bin(), "--quiet", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        words = "\n".join((done.stderr or done.stdout).strip().splitlines()[-15:])
        raise Unavailable(f"the environment of the Argilla server could not be built:\n{words}")
