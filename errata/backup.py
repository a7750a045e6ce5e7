"""Back-up and restore of a data folder.

In: a data folder, running or not. Out: one compressed archive, for its owner's eyes only; and from
an archive a data folder. Each database is copied as of one moment; what the two disagree on by a
few seconds is mended by the first reconciling poll.
"""

import io
import os
import sqlite3
import tarfile
import tempfile
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from errata.errors import Conflict, Malformed
from errata.home import STATE_KEYS, Home

DATABASES = ("errata.db", "argilla/argilla.db")
FILES = ("credentials.json", STATE_KEYS, "policy.yaml", "ledger.jsonl")
SECRETS = "argilla/*.secret"
MARK = "errata-backup-1"
"""First entry of an archive."""


class BackedUp(NamedTuple):
    """A written archive."""

    path: Path
    files: list[str]
    size: int
    """Bytes."""


def save(home: Home, out: Path) -> BackedUp:
    """Write an archive.

    Args:
        home: The data folder; `errata up` may run on it.
        out: The file to make; must not exist.

    Raises:
        NotFound: There is no data folder.
        Conflict: `out` exists.
    """
    home.credentials()
    if out.exists():
        raise Conflict(f"{out} exists; choose another name")
    names: list[str] = []
    part = out.with_name(f".{out.name}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with (
        tempfile.TemporaryDirectory(dir=home.path) as beside,
        os.fdopen(descriptor, "wb") as file,
        tarfile.open(fileobj=file, mode="w:gz") as archive,
    ):
        archive.addfile(tarfile.TarInfo(MARK), io.BytesIO())
        for path, name in _contents(home, Path(beside)):
            archive.add(path, name, recursive=False)
            names.append(name)
    part.replace(out)
    return BackedUp(out, names, out.stat().st_size)


def _contents(home: Home, beside: Path) -> list[tuple[Path, str]]:
    """What goes in: copies of the databases, and the small files as they are."""
    found: list[tuple[Path, str]] = []
    for name in DATABASES:
        source = home.path / name
        if source.exists():
            copy = beside / name.replace("/", "-")
            _copy(source, copy)
            found.append((copy, name))
    paths = [home.path / name for name in FILES] + sorted(home.path.glob(SECRETS))
    found += [(path, str(path.relative_to(home.path))) for path in paths if path.exists()]
    return found


def _copy(source: Path, copy: Path) -> None:
    """SQLite's own online copy: whole even while others write."""
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=60)) as old,
        closing(sqlite3.connect(copy)) as new,
    ):
        old.backup(new)


def load(archive: Path, home: Home) -> list[str]:
    """Make a data folder from an archive.

    Args:
        archive: Written by `save`.
        home: Must not hold anything yet.

    Returns:
        The files restored.

    Raises:
        Conflict: The folder holds something.
        Malformed: The file is no such archive, or tries to write elsewhere.
    """
    if home.path.exists() and any(home.path.iterdir()):
        raise Conflict(f"{home.path} is not empty; restore into a new folder with --home")
    try:
        with tarfile.open(archive, mode="r:gz") as opened:
            members = opened.getmembers()
            if not members or members[0].name != MARK:
                raise Malformed(f"{archive} is no back-up of errata")
            home.make()
            opened.extractall(home.path, members=members[1:], filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise Malformed(f"{archive} cannot be read: {error}") from error
    for member in members[1:]:
        (home.path / member.name).chmod(0o600)
    return [member.name for member in members[1:]]
