"""Temporary files of one process. In: Argilla's home folder. Out: a folder that goes with it.

Argilla copies its pages, 14 MB, into a temporary folder at every start. The folder is locked while
its process lives, so a later start can tell what a killed one left behind.
"""

import atexit
import fcntl
import os
import shutil
import tempfile
from pathlib import Path


def claim(home: Path) -> None:
    """Let this process keep its temporary files under `home`; remove those of dead processes."""
    place = home / "scratch"
    place.mkdir(parents=True, exist_ok=True)
    door = os.open(place, os.O_RDONLY)
    # No other start may take a new folder, not locked yet, for an abandoned one.
    fcntl.flock(door, fcntl.LOCK_EX)
    for left in place.iterdir():
        if _lock(left):
            shutil.rmtree(left, ignore_errors=True)
    ours = tempfile.mkdtemp(dir=place)
    assert _lock(Path(ours))
    os.close(door)
    atexit.register(shutil.rmtree, ours, ignore_errors=True)
    tempfile.tempdir = ours


def _lock(folder: Path) -> bool:
    """Lock a folder until this process ends; False if another process has it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return False
    return True
