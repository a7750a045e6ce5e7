"""The files of a bundle."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from errata.errors import Conflict, Malformed
from review.history import Episode
from tests.training.episodes import NOON, among, candidates, decided, nobody, proposal
from training import bundle, columns, parts
from training.bundle import Bundle
from training.rows import Kind
from training.shards import Format

FORMATS: tuple[Format, Format] = ("parquet", "jsonl")
KINDS: tuple[Kind, Kind] = ("sft", "dpo")

LOAD = """
import json, sys
from datasets import load_dataset
rows = load_dataset(sys.argv[1], sys.argv[2])
print(json.dumps({name: [dict(row) for row in split] for name, split in rows.items()}, default=str))
"""


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


def tool(name: str, *parameters: str) -> dict[str, Any]:
    properties = {parameter: {"type": "string"} for parameter in parameters}
    schema = {"type": "object", "properties": properties}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


def edits(count: int = 40, **fields: Any) -> list[Episode]:
    """Calls of two tools with different arguments, each edited by a person."""
    made: list[Episode] = []
    for n in range(count):
        refund = n % 2 == 0
        before = call("refund", order=str(n)) if refund else call("mail", to="bob", text="hi")
        after = call("refund", order=f"{n}0") if refund else call("mail", to="ann", text="hi")
        stated = {
            "message": f"Task {n}",
            "action": before,
            "tools": [tool("refund", "order"), tool("mail", "to", "text")],
            **fields,
        }
        made.append(
            decided(
                proposal(f"p{n}", "action", **stated),
                "edit",
                {"verdict": "edit", "action": after, "reviewer": f"person {n % 3}", "opened_s": 30},
                effective={"action": after},
                edit_distance=0.25,
                after_s=n,
            )
        )
    return made


def export(episodes: list[Episode], out: Path, kind: Kind = "dpo", **options: Any) -> Bundle:
    return bundle.export(episodes, out, parents=among(episodes), kind=kind, **options)


def lines(out: Path, kind: Kind = "dpo") -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for path in sorted((out / kind).glob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]


def manifest(out: Path) -> dict[str, Any]:
    return json.loads((out / "manifest.json").read_text(encoding="utf-8"))


def load(out: Path, kind: Kind, home: Path) -> dict[str, list[dict[str, Any]]]:
    """Load a bundle as a stranger would, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(out), kind],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("format_", FORMATS)
def test_datasets_loads_a_bundle_and_no_call_gains_an_argument(tmp_path: Path, format_: Format):
    out = tmp_path / "bundle"
    made = export(edits(), out, format_=format_)
    found = load(out, "dpo", tmp_path / "home")
    assert {name: len(rows) for name, rows in found.items()} == made.rows
    assert min(made.rows.values()) > 0
    arguments = {
        frozenset(side[0]["tool_calls"][0]["function"]["arguments"])
        for rows in found.values()
        for row in rows
        for side in (row["chosen"], row["rejected"])
    }
    assert arguments == {frozenset({"order"}), frozenset({"to", "text"})}
    assert list(found["train"][0]) == columns.names("dpo")


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("split", [0, 0.01])
def test_a_bundle_without_test_rows_loads(tmp_path: Path, format_: Format, split: float):
    out = tmp_path / "bundle"
    made = export(edits(3), out, "sft", split=split, format_=format_)
    assert made.rows == {"train": 3, "test": 0}
    assert set(load(out, "sft", tmp_path / "home")) == {"train"}


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_decisions_give_the_same_bytes(tmp_path: Path, kind: Kind, format_: Format):
    for name in ("one", "two"):
        export(edits(), tmp_path / name, kind, format_=format_)
    one, two = (
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*.*")
        }
        for name in ("one", "two")
    )
    assert one == two
    assert len(one) == 5


def test_both_formats_hold_the_same_rows(tmp_path: Path):
    export(edits(), tmp_path / "lines", format_="jsonl")
    export(edits(), tmp_path / "arrow")
    arrow: list[dict[str, Any]] = []
    for path in sorted((tmp_path / "arrow/dpo").glob("*.parquet")):
        arrow += pq.read_table(path).to_pylist()
    for row in arrow:
        for name in ("prompt", "chosen", "rejected"):
            row[name] = [json.loads(text) for text in row[name]]
        for name in ("created_at", "decided_at"):
            row[name] = row[name].isoformat()
    assert arrow == lines(tmp_path / "lines")


def test_a_row_says_where_it_comes_from(tmp_path: Path):
    export(edits(1, group_id="g", task_id="t"), tmp_path / "out", split=0, format_="jsonl")
    [row] = lines(tmp_path / "out")
    known = {name: row[name] for name in columns.names("dpo")[4:] if name != "pair_id"}
    assert known == {
        "pair_kind": "edit",
        "proposal_id": "p0",
        "parent_id": None,
        "group_id": "g",
        "task_id": "t",
        "split": "train",
        "n_votes": 1,
        "agreement": None,
        "aggregation": "single",
        "weight": 1.0,
        "chosen_by": "person",
        "agent_id": "desk",
        "agent_version": "3",
        "model_id": "small-1",
        "decided_by": "people",
        "policy_version": "sha256:" + "0" * 64,
        "reviewers": ["reviewer-1"],
        "edit_distance": 0.25,
        "guidance": None,
        "review_seconds": 30.0,
        "created_at": NOON.isoformat(),
        "decided_at": NOON.isoformat(),
    }
    assert [t["function"]["name"] for t in json.loads(row["tools"])] == ["refund", "mail"]


def test_no_reviewers_name_leaves(tmp_path: Path):
    out = tmp_path / "out"
    export(edits(), out, format_="jsonl")
    assert {name for row in lines(out) for name in row["reviewers"]} == {
        "reviewer-1",
        "reviewer-2",
        "reviewer-3",
    }
    for path in out.rglob("*.*"):
        assert b"person 0" not in path.read_bytes()


def test_guidance_stands_beside_a_retry_and_not_in_its_prompt(tmp_path: Path):
    told = {"verdict": "reject", "guidance": "name the order"}
    first = decided(proposal("p1", message="Where?"), "reject", told)
    hinted = [{"role": "user", "content": "Where? name the order"}]
    second = decided(proposal("p2", parent_id="p1", content="Order 7.", prompt=hinted))
    export([first, second], tmp_path / "out", split=0, format_="jsonl")
    [row] = lines(tmp_path / "out")
    assert (row["guidance"], row["parent_id"]) == ("name the order", "p1")
    assert row["prompt"] == [{"role": "user", "content": "Where?"}]


def test_the_manifest_names_every_file_and_what_was_left_out(tmp_path: Path):
    out = tmp_path / "out"
    made = export([*edits(), decided(proposal("q1"), "reject"), decided(proposal("q2"))], out)
    value = manifest(out)
    assert {file["path"] for file in value["files"]} == {
        path.relative_to(out).as_posix() for path in (*out.glob("dpo/*"), out / "keys.npy")
    }
    for file in value["files"]:
        data = (out / file["path"]).read_bytes()
        assert file["sha256"] == hashlib.sha256(data).hexdigest()
    assert sum(made.rows.values()) == 40
    assert value["dropped"] == made.dropped == {"refused": 1, "unchanged": 1}
    assert value["decisions"]["read"] == 42
    assert value["decisions"]["first"] == NOON.isoformat()
    assert value["policy_versions"] == ["sha256:" + "0" * 64]
    assert (
        made.digest == "sha256:" + hashlib.sha256((out / "manifest.json").read_bytes()).hexdigest()
    )


def test_the_card_tells_what_was_left_out_and_explains_every_column(tmp_path: Path):
    export([*edits(3), decided(proposal("q1"), "reject")], tmp_path / "out", split=0)
    _, head, text = (tmp_path / "out/README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert yaml.safe_load(head)["configs"] == [
        {
            "config_name": "dpo",
            "default": True,
            "data_files": [{"split": "train", "path": "dpo/train-*.parquet"}],
        }
    ]
    assert "| 1 | refused:" in text
    for name in columns.names("dpo"):
        assert f"| `{name}` |" in text


def test_rows_without_any_context_are_kept_and_told(tmp_path: Path):
    out = tmp_path / "out"
    export([decided(proposal())], out, "sft", split=0, format_="jsonl")
    assert lines(out, "sft")[0]["prompt"] == [{"role": "user", "content": ""}]
    assert manifest(out)["rows_without_context"] == 1
    assert "Rows with an empty prompt: 1." in (out / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("field", ["group_id", "task_id", "message"])
def test_a_group_is_never_in_both_splits(tmp_path: Path, field: str):
    episodes = [
        decided(
            proposal(f"p{n}", **{"message": f"ask {n}", field: f"g{n % 20}"}),
            "edit",
            effective={"content": "new"},
        )
        for n in range(100)
    ]
    export(episodes, tmp_path / "out", split=0.4, format_="jsonl")
    of_group: dict[str, set[str]] = {}
    for row in lines(tmp_path / "out"):
        group = row["prompt"][0]["content"] if field == "message" else row[field]
        of_group.setdefault(group, set()).add(row["split"])
    assert len(of_group) == 20
    assert all(len(splits) == 1 for splits in of_group.values())
    assert set().union(*of_group.values()) == {"train", "test"}


def test_a_group_keeps_its_split_as_the_data_grow(tmp_path: Path):
    few, many = edits(20), edits(200)
    export(few, tmp_path / "few", split=0.3, format_="jsonl")
    export(many, tmp_path / "many", split=0.3, format_="jsonl")
    before = {row["pair_id"]: row["split"] for row in lines(tmp_path / "few")}
    after = {row["pair_id"]: row["split"] for row in lines(tmp_path / "many")}
    assert before.items() <= after.items()
    share = sum(split == "test" for split in after.values()) / len(after)
    assert 0.2 < share < 0.4  # three standard deviations of 200 groups


@pytest.mark.parametrize("split", [-0.1, 1, 1.5])
def test_a_share_that_leaves_no_training_rows_is_refused(tmp_path: Path, split: float):
    with pytest.raises(Malformed, match="test share"):
        export(edits(1), tmp_path / "out", split=split)


def test_an_existing_bundle_is_replaced_only_by_force(tmp_path: Path):
    out = tmp_path / "out"
    export(edits(4), out, "sft")
    with pytest.raises(Conflict, match="--force"):
        export(edits(2), out)
    assert sum(manifest(out)["rows"].values()) == 4
    export(edits(2), out, force=True)
    assert (manifest(out)["kind"], sum(manifest(out)["rows"].values())) == ("dpo", 2)
    assert not (out / "sft").exists()
    assert list(tmp_path.iterdir()) == [out]


def test_force_replaces_nothing_but_a_bundle(tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("ten years of work", encoding="utf-8")
    with pytest.raises(Conflict, match="no bundle"):
        export(edits(1), tmp_path, force=True)
    assert (tmp_path / "thesis.txt").exists()


def test_an_interrupted_export_leaves_what_was_there(tmp_path: Path):
    def broken() -> Iterator[Episode]:
        yield from edits(3)
        raise KeyboardInterrupt

    out = tmp_path / "out"
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            bundle.export(broken(), out, parents=nobody, kind="dpo", format_="jsonl", force=True)
        before = manifest(out) if out.exists() else None
        assert list(tmp_path.iterdir()) == ([out] if before else [])
        if before is None:
            export(edits(4), out)
    assert sum(manifest(out)["rows"].values()) == 4


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "nothing was decided"),
        ([decided(proposal(), "reject")], "of 1 decisions none makes a row (1 refused)"),
    ],
)
def test_nothing_to_export_is_told_and_leaves_no_folder(
    tmp_path: Path, given: list[Episode], said: str
):
    with pytest.raises(Malformed, match=re.escape(said)):
        export(given, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_rows_are_spread_over_files_of_a_bounded_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("training.parts.BATCH", 4)
    monkeypatch.setattr("training.shards.GROUP", 6)
    monkeypatch.setattr("training.shards.SHARD", 10)
    out = tmp_path / "out"
    export(edits(25), out, split=0)
    assert [(f["path"], f["rows"]) for f in manifest(out)["files"][:-1]] == [
        ("dpo/train-00000.parquet", 10),
        ("dpo/train-00001.parquet", 10),
        ("dpo/train-00002.parquet", 5),
    ]
    ids = [
        row["proposal_id"]
        for path in sorted(out.glob("dpo/*"))
        for row in pq.read_table(path).to_pylist()
    ]
    assert ids == [f"p{n}" for n in range(25)]


def test_a_changed_file_is_noticed(tmp_path: Path):
    out = tmp_path / "out"
    made = export(edits(), out, format_="jsonl")
    assert bundle.load(out, "dpo") == made
    with pytest.raises(Malformed, match="bundle for dpo"):
        bundle.load(out, "sft")
    with (out / "dpo/train-00000.jsonl").open("a", encoding="utf-8") as file:
        file.write("{}\n")
    with pytest.raises(Malformed, match="not the file that was exported"):
        bundle.load(out, "dpo")
    with pytest.raises(Malformed, match="no bundle"):
        bundle.load(tmp_path / "nowhere", "dpo")


def test_pairs_of_one_set_share_a_weight_of_one(tmp_path: Path):
    said = {"verdict": "approve", "ranking": [["a"], ["b"], ["c"]]}
    of = proposal(kind="candidates", candidates=candidates("x", "y", "z"), message="?")
    export(
        [decided(of, "approve", said)], tmp_path / "out", split=0, strategy="all", format_="jsonl"
    )
    assert [row["weight"] for row in lines(tmp_path / "out")] == [1 / 3] * 3


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("kind", ["kto", "reward"])
def test_kto_and_reward_sets_load_with_the_columns_that_trl_reads(
    tmp_path: Path, format_: Format, kind: Kind
):
    export(edits(), tmp_path / "bundle", kind, format_=format_, split=0)
    [rows] = load(tmp_path / "bundle", kind, tmp_path / "home").values()
    assert list(rows[0]) == columns.names(kind)
    if kind == "kto":
        assert {"prompt", "completion", "label"} < set(rows[0])
        assert sorted(row["label"] for row in rows) == [False] * 40 + [True] * 40
    else:
        assert {"prompt", "chosen", "rejected", "margin"} < set(rows[0])
        assert [row["margin"] for row in rows] == [0.25] * 40


def test_the_rows_of_kto_are_shuffled_the_same_way_each_time(tmp_path: Path):
    export(edits(), tmp_path / "one", "kto", format_="jsonl", split=0)
    export(edits(), tmp_path / "two", "kto", format_="jsonl", split=0)
    order = [row["proposal_id"] for row in lines(tmp_path / "one", "kto")]
    assert order == [row["proposal_id"] for row in lines(tmp_path / "two", "kto")]
    assert order != sorted(order, key=lambda id_: int(id_[1:]))
    labels = [row["label"] for row in lines(tmp_path / "one", "kto")]
    assert {True, False} == set(labels[:20]) == set(labels[-20:])
    assert manifest(tmp_path / "one")["config"]["order"] == parts.ORDER


def test_the_order_of_kto_does_not_depend_on_how_the_decisions_came(tmp_path: Path):
    made = edits(300)
    export(made, tmp_path / "one", "kto", format_="jsonl", split=0)
    export(made[::-1], tmp_path / "two", "kto", format_="jsonl", split=0)
    one, two = ([row["pair_id"] for row in lines(tmp_path / n, "kto")] for n in ("one", "two"))
    assert one == two
    assert len(set(one)) == 600


def test_a_shuffle_mixes_what_was_decided_early_and_late(tmp_path: Path):
    """In each tenth the earlier half is as frequent as a random order would have it."""
    export(edits(1000), tmp_path / "out", "kto", format_="jsonl", split=0)
    order = [int(row["proposal_id"][1:]) for row in lines(tmp_path / "out", "kto")]
    for at in range(0, 2000, 200):
        early = sum(n < 500 for n in order[at : at + 200])
        assert 65 <= early <= 135  # five standard deviations
