"""Bundles: what people decided, as files that TRL trains on.

In: episodes. Out: a folder with `<kind>/train-*`, `<kind>/test-*`, `README.md` and `manifest.json`.
The same decisions give the same bytes.
"""

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from errata.digest import canonical
from errata.errors import Conflict, Malformed
from review.history import Episode
from training import card, columns, pairs, shards, votes
from training.columns import Split
from training.pairs import Drop, Kind, Parents, Row
from training.preferences import Strategy
from training.reasons import REASONS, Reason
from training.shards import File, Format, Shards

SALT = "errata split 1"
"""Another salt would move rows between train and test."""
MANIFEST = "manifest.json"


class Bundle(NamedTuple):
    """An exported data set."""

    path: Path
    kind: Kind
    rows: dict[Split, int]
    dropped: dict[Reason, int]
    """Decisions, or pairs of one, that gave no row."""
    digest: str
    """`sha256:` and the hex hash of the manifest, which names the hash of every file."""


class _Seen:
    """What the manifest says about the decisions that were read."""

    def __init__(self) -> None:
        self.decisions = 0
        self.first: datetime | None = None
        self.last: datetime | None = None
        self.policies: set[str] = set()
        self.reviewers: dict[str, str] = {}
        self.dropped: Counter[Reason] = Counter()
        self.without_context = 0

    def over(self, episodes: Iterable[Episode]) -> Iterable[Episode]:
        """The episodes, noted while they pass."""
        for episode in episodes:
            decision = episode.decision_row
            self.decisions += 1
            self.policies.add(decision.policy_version)
            self.first = min(self.first or decision.decided_at, decision.decided_at)
            self.last = max(self.last or decision.decided_at, decision.decided_at)
            yield episode

    def pseudonyms(self, row: Row) -> list[str]:
        """Numbers in the order of appearance: unlike hashes of names they cannot be guessed."""
        names = {heard.row.reviewer for heard in votes.counted(row.episode)}
        return [
            self.reviewers.setdefault(name, f"reviewer-{len(self.reviewers) + 1}")
            for name in sorted(names)
        ]


def export(
    episodes: Iterable[Episode],
    out: Path,
    *,
    parents: Parents,
    kind: Kind,
    split: float = 0.1,
    strategy: Strategy = "best_worst",
    format_: Format = "parquet",
    force: bool = False,
) -> Bundle:
    """Write a bundle.

    Episodes are read once and a batch of rows is held at a time. The folder appears whole: it is
    written beside `out` and then renamed.

    Args:
        episodes: The decided work, see `review.history.read`.
        out: The folder to make.
        parents: Finds the refused first attempt of a retry, see `review.history.one`.
        kind: What to export.
        split: Share of the groups that go to the test split, 0 up to but not including 1.
        strategy: Which pairs are taken from candidates.
        format_: `parquet` or `jsonl`.
        force: Replace an older bundle at `out`.

    Raises:
        Malformed: `split` is no such share.
        Conflict: `out` exists, or with `force` is something else than a bundle.
    """
    if not 0 <= split < 1:
        raise Malformed(f"the test share must be at least 0 and below 1, not {split}", "split")
    out = out.absolute()
    _check_free(out, force=force)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as beside:
        folder = Path(beside) / "new"
        (folder / kind).mkdir(parents=True)
        seen = _Seen()
        found = pairs.read(seen.over(episodes), parents=parents, kind=kind, strategy=strategy)
        filled = _fill(folder, found, seen, kind=kind, share=split, format_=format_)
        dropped: dict[Reason, int] = {r: seen.dropped[r] for r in REASONS if seen.dropped[r]}
        readme = card.write(
            kind, format_, rows=filled.rows, dropped=dropped, without_context=seen.without_context
        )
        (folder / "README.md").write_text(readme, encoding="utf-8")
        config = {"format": format_, "salt": SALT, "split": split, "strategy": strategy}
        manifest = _manifest(kind, filled, dropped, seen, config)
        (folder / MANIFEST).write_text(manifest, encoding="utf-8")
        _check_free(out, force=force)  # somebody may have made it meanwhile
        _put(folder, out, Path(beside) / "old")
    return Bundle(out, kind, filled.rows, dropped, _digest(manifest.encode()))


def _check_free(out: Path, *, force: bool) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not force:
        raise Conflict(f"{out} exists: choose another folder, or --force to replace the bundle")
    if not (out / MANIFEST).is_file():
        raise Conflict(f"{out} is no bundle, so it is not replaced: choose another folder")


class _Filled(NamedTuple):
    rows: dict[Split, int]
    files: list[File]


def _fill(
    folder: Path,
    found: Iterable[Row | Drop],
    seen: _Seen,
    *,
    kind: Kind,
    share: float,
    format_: Format,
) -> _Filled:
    with (
        closing(Shards(folder / kind, kind, "train", format_)) as train,
        closing(Shards(folder / kind, kind, "test", format_)) as test,
    ):
        for item in found:
            if isinstance(item, Drop):
                seen.dropped[item.reason] += 1
                continue
            seen.without_context += not any(turn["content"] for turn in item.prompt)
            split = split_of(item, share)
            record = columns.record(item, split, seen.pseudonyms(item))
            (train if split == "train" else test).add(record)
    files = [*train.files(folder), *test.files(folder)]
    return _Filled({"train": train.rows, "test": test.rows}, files)


def split_of(row: Row, share: float) -> Split:
    """The split of a row: the same for all rows of a group, and as the data grow.

    Args:
        row: The row. Its group is the stated one, else its task, else its prompt.
        share: Share of the groups in the test split.
    """
    own, first = row.episode.row, row.origin.row
    if group := own.group_id or first.group_id:
        key = f"group {group}"
    elif task := own.task_id or first.task_id:
        key = f"task {task}"
    else:
        key = "prompt " + canonical(row.prompt).decode()
    place = hashlib.sha256(f"{SALT}\n{key}".encode()).digest()
    return "test" if int.from_bytes(place[:8]) < share * 2**64 else "train"


def _manifest(
    kind: Kind,
    filled: _Filled,
    dropped: dict[Reason, int],
    seen: _Seen,
    config: dict[str, Any],
) -> str:
    # No time of export and no path: they would make the same data look like other data.
    value = {
        "schema_version": 1,
        "kind": kind,
        "rows": filled.rows,
        "rows_without_context": seen.without_context,
        "dropped": dropped,
        "files": [file._asdict() for file in filled.files],
        "decisions": {
            "read": seen.decisions,
            "first": seen.first.isoformat() if seen.first else None,
            "last": seen.last.isoformat() if seen.last else None,
        },
        "policy_versions": sorted(seen.policies),
        "exporter": f"errata {version('errata')}",
        "config": config,
    }
    return json.dumps(value, indent=2) + "\n"


def _put(folder: Path, out: Path, old: Path) -> None:
    if not out.exists():
        folder.rename(out)
        return
    out.rename(old)
    try:
        folder.rename(out)
    except BaseException:
        old.rename(out)
        raise


def _digest(manifest: bytes) -> str:
    return "sha256:" + hashlib.sha256(manifest).hexdigest()


def load(path: Path, kind: Kind) -> Bundle:
    """Look at a bundle and check that its files are those that were exported.

    Raises:
        Malformed: It is no bundle of this kind, or a file is missing or changed.
    """
    try:
        text = (path / MANIFEST).read_bytes()
        value = json.loads(text)
        files = [File(**file) for file in value["files"]]
        rows, dropped, found = value["rows"], value["dropped"], value["kind"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Malformed(f"{path} is no bundle: make one with `errata export {kind}`") from error
    if found != kind:
        raise Malformed(f"{path} is a bundle for {found}: export one with `errata export {kind}`")
    for file in files:
        where = path / file.path
        if not where.is_file() or shards.digest(where) != file.sha256:
            raise Malformed(f"{where} is not the file that was exported: export the bundle again")
    return Bundle(path, kind, rows, dropped, _digest(text))
