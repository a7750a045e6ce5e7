"""Bundles: what people decided, as files that TRL trains on.

In: episodes. Out: a folder with `<kind>/train-*`, `<kind>/test-*`, `README.md` and `manifest.json`.
The same decisions give the same bytes.
"""

import errno
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from errata.errors import Conflict, Malformed, Unavailable
from review.history import Episode
from training import keys, manifests, parts, shards, sources, splits
from training.columns import Split
from training.grounds import Parents
from training.hygiene import balance, single
from training.hygiene.checks import Care, Check, Finding
from training.hygiene.sweep import sweep
from training.hygiene.whole import PERMUTATIONS
from training.keys import Keys
from training.manifests import Made
from training.parts import Part, Seen, Wanted
from training.people import People
from training.preferences import Strategy
from training.reasons import Reason
from training.rows import Kind
from training.shards import File, Format, Plan
from training.sources import Do, Source

MANIFEST = manifests.NAME
SPLITS: tuple[Split, ...] = ("train", "test")


class Bundle(NamedTuple):
    """An exported data set."""

    path: Path
    kind: Kind
    rows: dict[Split, int]
    dropped: dict[Reason, int]
    """Decisions, or pairs of one, that gave no row."""
    digest: str
    """`sha256:` and the hex hash of the manifest, which names the hash of every file."""
    findings: Mapping[Check, Finding] = {}
    """What the checks found, by check that was run."""
    warnings: tuple[str, ...] = ()
    """What a person should know before training."""


def export(episodes: Iterable[Episode], out: Path, *, parents: Parents, **options: Any) -> Bundle:
    """Write a bundle of episodes in hand; see `write`.

    Args:
        episodes: The decided work, read once.
        out: The folder to make.
        parents: Finds the refused first attempt of a retry, see `review.history.one`.
        options: As `write` takes them.
    """
    return write(sources.Given(episodes, parents), out, **options)


def write(
    source: Source,
    out: Path,
    *,
    kind: Kind,
    split: float = 0.1,
    strategy: Strategy = "best_worst",
    format_: Format = "parquet",
    force: bool = False,
    look: Callable[[], People] = People,
    care: Care | None = None,
) -> Bundle:
    """Write a bundle.

    A batch of rows is held at a time. The folder appears whole: it is written beside `out` and then
    renamed.

    Args:
        source: Where the decided work comes from.
        out: The folder to make.
        kind: What to export.
        split: Share of the groups that go to the test split, 0 up to but not including 1.
        strategy: Which pairs are taken from candidates.
        format_: `parquet`, `jsonl`, or `openai` for the lines that its fine-tuning takes.
        force: Replace an older bundle at `out`.
        look: Finds out what is known of the reviewers, see `people.look`; called while the other
            processes start.
        care: What to look for in the rows, and what to do about it.

    Raises:
        Malformed: `split` is no such share, or the format has no form for the kind.
        Malformed: There would be no row.
        Conflict: `out` exists, or with `force` is something else than a bundle.
    """
    if not 0 <= split < 1:
        raise Malformed(f"the test share must be at least 0 and below 1, not {split}", "split")
    if format_ == "openai" and kind not in {"sft", "dpo"}:
        raise Malformed(f"OpenAI has no form for {kind}; it takes sft and dpo", "format")
    care = care or Care()
    single.prepare(care)
    out = out.absolute()
    _check_free(out, force=force)
    out.parent.mkdir(parents=True, exist_ok=True)
    with (
        _room(out),
        tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as beside,
        sources.hands(source.workers) as do,
    ):
        wanted = Wanted(kind, strategy, split, look(), care)
        folder = Path(beside) / "new"
        made = _make(source, Path(beside), wanted, format_, do)
        (folder / "README.md").write_text(_typing("card").write(made, format_), encoding="utf-8")
        text = manifests.text(made, _config(wanted, format_), source)
        (folder / manifests.NAME).write_text(text, encoding="utf-8")
        _check_free(out, force=force)  # somebody may have made it meanwhile
        _put(folder, out, Path(beside) / "old")
    return Bundle(
        out,
        kind,
        made.rows,
        dict(made.seen.dropped),
        manifests.digest(text.encode()),
        made.swept.findings,
        tuple(made.balance.warnings(sum(made.rows.values()))),
    )


def _config(wanted: Wanted, format_: Format) -> dict[str, Any]:
    """What else decides which rows there are, their order and their columns."""
    config: dict[str, Any] = {"format": format_, "salt": splits.SALT, "split": wanted.share}
    config |= {"strategy": wanted.strategy}
    if wanted.care.model is not None:
        tokens = single.module("lengths").fingerprint(wanted.care.model)
        config["tokens"] = {"of": tokens, "max_length": wanted.care.model.max_length}
    return config | ({"order": parts.ORDER} if wanted.kind == "kto" else {})


@contextmanager
def _room(out: Path) -> Generator[None]:
    """Say plainly that a disk is full; what was written of the bundle is gone by then."""
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise
        raise Unavailable(
            f"there is no room for {out}: an export needs about twice the size of the bundle "
            "there; make room or choose another folder"
        ) from error


def _make(source: Source, beside: Path, wanted: Wanted, format_: Format, do: Do) -> Made:
    """Write the files of a bundle."""
    kind, care = wanted.kind, wanted.care
    folder, staged = beside / "new", beside / "staged"
    (folder / kind).mkdir(parents=True)
    staged.mkdir()
    coming = source.parts(staged, wanted, do)
    schema = _typing("features").schema(kind, counted=care.counts)
    found = list(coming)
    rows = keys.together(part.keys for part in found)
    signatures = [np.empty((0, PERMUTATIONS), np.uint32), *(p.signatures for p in found)]
    swept = sweep(rows, np.concatenate(signatures), care, source.parent)
    seen = parts.add([part.seen for part in found])
    if not len(swept.kept):
        raise Malformed(_nothing(kind, seen, source))
    plans = list(_plans(found, rows, swept.kept, kind, format_))
    staged_files = [part.path for part in found]
    put = partial(shards.write, root=folder, staged=staged_files, schema=schema)
    writing = do(put, plans)
    kept = rows[swept.kept]
    held = keys.identity(kept)
    if source.parent is not None:
        held = np.concatenate([source.parent.rows, held])
    np.save(folder / manifests.KEYS, np.unique(held))
    known = File(manifests.KEYS, shards.digest(folder / manifests.KEYS), len(kept))
    files = [*writing, known]
    counts: dict[Split, int] = {
        name: int((kept["test"] == (name == "test")).sum()) for name in SPLITS
    }
    return Made(wanted, counts, files, seen, swept, balance.of(kept, seen.reviewers))


def _typing(name: str) -> Any:
    """A module that stands on `datasets`, which takes a second to load.

    It is loaded while other processes lay rows ready.
    """
    return import_module(f"training.{name}")


def _nothing(kind: Kind, seen: Seen, source: Source) -> str:
    """Why there is nothing to export, and what to do."""
    if not seen.decisions:
        since = " since the bundle to go on from" if source.parent else ""
        return f"nothing to export: nothing was decided{since}"
    said = ", ".join(f"{count} {reason}" for reason, count in seen.dropped.items())
    why = f" ({said})" if said else ", or all of them are left out by --drop"
    return (
        f"nothing to export for {kind}: of {seen.decisions} decisions none makes a row{why}; "
        "another kind of export may have some"
    )


def _plans(
    made: Sequence[Part], rows: Keys, kept: NDArray[np.int64], kind: Kind, format_: Format
) -> Iterator[Plan]:
    """Which row goes to which file."""
    rows = rows[kept]
    lengths = [len(part.keys) for part in made]
    of_part = np.repeat(np.arange(len(made)), lengths)
    in_part = np.concatenate([np.arange(length) for length in (0, *lengths)])
    where = np.column_stack([of_part, in_part])
    for split in SPLITS:
        chosen = np.flatnonzero(rows["test"] == (split == "test"))
        if kind == "kto":
            chosen = chosen[np.argsort(rows["place"][chosen])]
        yield from shards.plan(kind, format_, split, where[kept[chosen]])


def _check_free(out: Path, *, force: bool) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not force:
        raise Conflict(f"{out} exists: choose another folder, or --force to replace the bundle")
    if not (out / manifests.NAME).is_file():
        raise Conflict(f"{out} is no bundle, so it is not replaced: choose another folder")


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


def load(path: Path, kind: Kind) -> Bundle:
    """Look at a bundle and check that its files are those that were exported.

    Raises:
        Malformed: It is no bundle of this kind, or a file is missing or changed.
    """
    found = manifests.read(path, kind)
    for file in found.files:
        where = path / file.path
        if not where.is_file() or shards.digest(where) != file.sha256:
            raise Malformed(f"{where} is not the file that was exported: export the bundle again")
    return Bundle(
        path, kind, found.rows, found.dropped, found.digest, found.findings, found.warnings
    )
