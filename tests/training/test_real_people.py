"""What real people said, as rows; every count is derived from the raw files, not by our code."""

import json
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from errata.db import Database
from review import history, imports
from tests.review import real
from tests.training.episodes import NOON
from training import bundle, people
from training.rows import Kind

Line = dict[str, Any]


@pytest.fixture
def out(tmp_path: Path) -> "Desk":
    return Desk(tmp_path)


class Desk:
    """A data folder that lines are imported into and bundles exported from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest: dict[str, Any] = {}

    def export(self, lines: Iterable[Line], kind: Kind, **options: Any) -> list[Line]:
        """Import lines into an empty database and export what they give."""
        database = Database(f"sqlite:///{self.folder / f'{kind}.db'}")
        database.migrate()
        file = real.write(self.folder / "reviews.jsonl", lines)
        assert imports.reviews(database, file, now=NOON).errors == []
        bar = options.pop("min_reliability", None)
        with database.reading() as session:
            bundle.export(
                history.read(session),
                self.folder / kind,
                parents=partial(history.one, session),
                kind=kind,
                format_="jsonl",
                look=lambda: people.look(history.read(session), min_reliability=bar),
                **options,
            )
        database.close()
        self.manifest = json.loads((self.folder / kind / "manifest.json").read_text("utf-8"))
        return [
            json.loads(line)
            for path in sorted((self.folder / kind / kind).iterdir())
            for line in path.read_text(encoding="utf-8").split("\n")
            if line
        ]


def said(turns: list[Line]) -> str:
    [turn] = turns
    assert turn["role"] == "assistant"
    return turn["content"]


def words_changed(before: str, after: str) -> float:
    """Levenshtein over words by the textbook's table, as a share of the longer side."""
    old, new = before.split(), after.split()
    row = list(range(len(new) + 1))
    for i, left in enumerate(old, 1):
        corner, row[0] = row[0], i
        for j, right in enumerate(new, 1):
            corner, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, corner + (left != right))
    return row[-1] / max(len(old), len(new))


def test_programs_keep_every_byte_and_their_margins_are_what_changed(out: Desk) -> None:
    raw = real.rows("code_refinements")
    found = out.export(map(real.code_line, raw), "reward")
    texts = {
        row["prompt"]: (
            row["original_model_completion"].removeprefix(row["prompt"]),
            row["unedited_annotator_completion"].removeprefix(row["prompt"]),
        )
        for row in raw
    }
    assert len(found) == len(raw)
    for row in found:
        before, after = texts[row["prompt"][0]["content"]]
        assert (said(row["rejected"]), said(row["chosen"])) == (before, after)
        assert row["margin"] == pytest.approx(words_changed(before, after))
    lines = sum("\r\n" in after for _, after in texts.values())
    assert sum("\r\n" in said(row["chosen"]) for row in found) == lines > 0
    assert not all(row["prompt"][0]["content"].isascii() for row in found)


def test_written_feedback_makes_a_retry_and_stays_out_of_its_prompt(out: Desk) -> None:
    raw = real.rows("code_refinements")
    lines: list[Line] = []
    for n, row in enumerate(raw):
        before = row["original_model_completion"].removeprefix(row["prompt"])
        after = row["unedited_annotator_completion"].removeprefix(row["prompt"])
        refused = real.proposal("coder", "draft", row["prompt"], id=f"p{n}", content=before)
        hint = f"{row['prompt']}\n{row['Feedback']}"
        again = real.proposal(
            "coder", "draft", hint, id=f"p{n}-2", parent_id=f"p{n}", content=after
        )
        no = {"reviewer": "ann", "verdict": "reject", "guidance": row["Feedback"]}
        yes = {"reviewer": "ann", "verdict": "approve"}
        lines += [{"proposal": refused, "reviews": [no]}, {"proposal": again, "reviews": [yes]}]
    found = out.export(lines, "dpo")
    assert len(found) == len(raw)
    assert {row["pair_kind"] for row in found} == {"retry"}
    assert {row["prompt"][0]["content"] for row in found} == {row["prompt"] for row in raw}
    assert Counter(row["guidance"] for row in found) == Counter(row["Feedback"] for row in raw)
    labels = out.export(lines, "kto")
    assert Counter(row["label"] for row in labels) == {True: len(raw), False: len(raw)}


def test_a_computer_agents_texts_are_good_where_a_person_took_them(out: Desk) -> None:
    raw = real.rows("gui_proposals")
    found = out.export(map(real.gui_line, raw), "kto", split=0)
    expected = Counter((row["final_text"], True) for row in raw)
    expected += Counter((row["proposal_text"], False) for row in raw if not row["approved_as_is"])
    assert Counter((said(row["completion"]), row["label"]) for row in found) == expected
    assert any(not said(row["completion"]).isascii() for row in found)
    order = [row["proposal_id"] for row in found]
    assert order != [row["id"] for row in raw for _ in range(1 if row["approved_as_is"] else 2)]


def judged(row: Line) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
    """(better, worse) pairs and ties of one question, by candidate number."""
    wins = {
        (pair["winner"], pair["b"] if pair["winner"] == pair["a"] else pair["a"])
        for pair in row["pairwise"]
        if pair["winner"]
    }
    return wins, {(pair["a"], pair["b"]) for pair in row["pairwise"] if not pair["winner"]}


def turned(row: Line) -> Line:
    """The question with one judgement the other way round, where that makes a circle of three."""
    wins, _ = judged(row)
    for a, b in wins:
        for c in range(1, 5):
            if (b, c) in wins and (a, c) in wins:
                pairwise = [
                    {**pair, "winner": c} if {pair["a"], pair["b"]} == {a, c} else pair
                    for pair in row["pairwise"]
                ]
                return {**row, "pairwise": pairwise}
    return row


def test_ties_are_counted_and_circles_reported(out: Desk) -> None:
    raw = [dict(row, corrected="") for row in real.rows("qa_feedback")]
    given = [turned(row) if n % 3 == 0 else row for n, row in enumerate(raw)]
    circles = {after["id"] for before, after in zip(raw, given, strict=True) if before != after}
    tied = {row["id"] for row in given if not judged(row)[0]}
    assert circles
    assert tied
    found = out.export(map(real.qa_line, given), "dpo")
    assert {row["proposal_id"] for row in found} == {
        row["id"] for row in given if row["id"] not in circles | tied
    }
    assert out.manifest["dropped"] == {"tied": len(tied), "cyclic": len(circles)}
    assert out.manifest["ties"] == sum(len(judged(row)[1]) for row in given) > 0


def test_of_compared_answers_the_best_is_good_and_the_worst_is_not(out: Desk) -> None:
    raw = {row["id"]: dict(row, corrected="") for row in real.rows("qa_feedback")}
    found = out.export(map(real.qa_line, raw.values()), "kto")
    assert Counter(row["label"] for row in found) == Counter(
        label for row in raw.values() if judged(row)[0] for label in (True, False)
    )
    for row in found:
        of = raw[row["proposal_id"]]
        number = of["candidates"].index(said(row["completion"])) + 1
        wins, _ = judged(of)
        lost, won = {worse for _, worse in wins}, {better for better, _ in wins}
        assert number not in (lost if row["label"] else won)


def test_the_margin_between_answers_is_their_distance_in_rank(out: Desk) -> None:
    raw = {row["id"]: dict(row, corrected="") for row in real.rows("qa_feedback")}
    found = out.export(map(real.qa_line, raw.values()), "reward")
    straight = 0
    for row in found:
        of = raw[row["proposal_id"]]
        wins, ties = judged(of)
        assert 1 / 3 - 1e-9 <= row["margin"] <= 1
        if not ties:  # a strict order of four: the best is three ranks above the worst
            beaten = Counter(worse for _, worse in wins)
            if sorted(beaten[n] for n in range(1, 5)) == [0, 1, 2, 3]:
                straight += 1
                assert row["margin"] == 1
                assert of["candidates"][next(n for n in range(4) if not beaten[n + 1])] == said(
                    row["chosen"]
                )
    assert straight > 0


def first_difference(row: Line) -> tuple[list[Line], Line, Line | None] | None:
    """What the expected calls share, the call that was wrong, and the right one if there is one."""
    before, after = row["actions_before"], row["actions_after"]
    for at, call in enumerate(before):
        right = after[at] if at < len(after) else None
        if call != right:
            return before[:at], call, right
    return None


def call(action: Line, n: int) -> list[Line]:
    asked = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": f"c{n}", "function": action}],
    }
    return [asked, {"role": "tool", "tool_call_id": f"c{n}", "content": f"result {n}"}]


def corrections() -> list[tuple[str, list[Line], Line, Line | None]]:
    found = [(row["id"], first_difference(row)) for row in real.rows("airline_task_corrections")]
    return [(id_, *difference) for id_, difference in found if difference is not None]


def repair(given: tuple[str, list[Line], Line, Line | None]) -> Line:
    id_, done, wrong, right = given
    proposal = real.proposal("airline", "action", f"Task {id_}", id=id_, action=wrong)
    proposal["prompt"] += [turn for n, one in enumerate(done) for turn in call(one, n)]
    said: Line = {"reviewer": "ann", "verdict": "reject" if right is None else "edit"}
    return {"proposal": proposal, "reviews": [said if right is None else {**said, "action": right}]}


def test_repaired_calls_are_pairs_of_calls_after_the_same_history(out: Desk) -> None:
    given = corrections()
    repaired = {id_: (done, wrong, right) for id_, done, wrong, right in given if right is not None}
    assert repaired
    found = out.export(map(repair, given), "dpo")
    assert {row["proposal_id"] for row in found} == set(repaired)
    for row in found:
        done, wrong, right = repaired[row["proposal_id"]]
        for side, expected in (("chosen", right), ("rejected", wrong)):
            [turn] = row[side]
            assert turn == {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"type": "function", "function": expected}],
            }
        asked, *history = row["prompt"]
        assert asked["role"] == "user"
        assert [turn["role"] for turn in history] == ["assistant", "tool"] * len(done)
        assert [turn["tool_calls"][0]["function"] for turn in history[::2]] == done
        assert [turn["name"] for turn in history[1::2]] == [one["name"] for one in done]
    other_tools = sum(w["name"] != r["name"] for _, w, r in repaired.values())
    assert other_tools > 0
    assert (
        sum(
            row["chosen"][0]["tool_calls"][0]["function"]["name"]
            != row["rejected"][0]["tool_calls"][0]["function"]["name"]
            for row in found
        )
        == other_tools
    )


def test_calls_that_should_not_be_made_are_bad_turns(out: Desk) -> None:
    given = corrections()
    found = out.export(map(repair, given), "kto")
    repaired = sum(right is not None for _, _, _, right in given)
    assert Counter(row["label"] for row in found) == {True: repaired, False: len(given)}
    bad = [row["completion"][0]["tool_calls"][0]["function"] for row in found if not row["label"]]
    assert sorted(map(json.dumps, bad)) == sorted(json.dumps(wrong) for _, _, wrong, _ in given)


def vote(row: Line) -> Line:
    proposal = real.proposal(
        "translator", "draft", row["source"], id=row["id"], content=row["draft"]
    )
    reviews = [
        {"reviewer": f"rater {n}", "verdict": "reject" if found else "approve"}
        for n, found in enumerate(row["votes"])
    ]
    return {"proposal": proposal, "reviews": reviews}


def test_three_votes_on_a_translation_become_one_label(out: Desk) -> None:
    raw = {row["id"]: row for row in real.rows("critical_error_votes_en-de")}
    found = {row["proposal_id"]: row for row in out.export(map(vote, raw.values()), "kto")}
    assert set(found) == set(raw)
    assert {row["aggregation"] for row in found.values()} == {"dawid_skene"}
    for id_, row in found.items():
        approving = [not one for one in raw[id_]["votes"]]
        assert row["n_votes"] == 3
        assert row["agreement"] == pytest.approx(approving.count(row["label"]) / 3)
        if len(set(approving)) == 1:
            assert row["label"] is approving[0]


def test_on_few_translations_the_majority_decides(out: Desk) -> None:
    raw = {row["id"]: row for row in real.rows("critical_error_votes_en-de")[:9]}
    found = {row["proposal_id"]: row for row in out.export(map(vote, raw.values()), "kto")}
    assert {row["aggregation"] for row in found.values()} == {"majority"}
    assert {id_: row["label"] for id_, row in found.items()} == {
        id_: sum(map(bool, row["votes"])) < 2 for id_, row in raw.items()
    }


def test_who_misses_planted_work_teaches_nothing(out: Desk) -> None:
    raw = real.rows("gui_proposals")
    lines: list[Line] = []
    for n, row in enumerate(raw):
        line = real.gui_line(row)
        line["reviews"][0]["reviewer"] = "careful" if n % 2 else "careless"
        lines.append(line)
    for n in range(25):
        wrong = real.proposal("screen", "draft", "Close it.", id=f"trap-{n}", content="rm -rf /")
        reviews = [
            {"reviewer": "careful", "verdict": "reject"},
            {"reviewer": "careless", "verdict": "approve" if n % 2 else "reject"},
        ]
        lines.append({"proposal": wrong, "reviews": reviews, "exclude": "honeypot"})
    everybody = out.export(lines, "sft")
    assert len(everybody) == len(raw)
    assert out.manifest["dropped"] == {"honeypot": 25}
    (out.folder / "sft.db").unlink()
    found = out.export(lines, "sft", min_reliability=0.8, force=True)
    assert {row["proposal_id"] for row in found} == {raw[n]["id"] for n in range(1, len(raw), 2)}
    assert out.manifest["dropped"] == {"honeypot": 25, "unreliable": (len(raw) + 1) // 2}
    assert out.manifest["reviewers_left_out"] == 1
