"""What is known of the reviewers, and what several of them come to."""

import random
from typing import Any

import pytest
from statsmodels.stats.proportion import proportion_confint

from errata.errors import Malformed
from review.history import DERIVED, Episode
from tests.training.episodes import ABCD, chose, decided, drops, proposal, read, rows, texts
from training import people
from training.people import Caught, People
from training.rows import Tie


def planted(reviewer: str, caught: int, missed: int) -> list[Episode]:
    return [
        decided(
            proposal(f"{reviewer}-{n}"),
            "reject",
            {"verdict": "reject" if n < caught else "approve", "reviewer": reviewer},
            by="import",
            source="import",
            exclude="honeypot",
        )
        for n in range(caught + missed)
    ]


@pytest.mark.parametrize(("right", "n"), [(9, 10), (48, 50), (0, 7), (20, 20)])
def test_a_catch_rate_is_as_sure_as_wilson_says(right: int, n: int):
    expected = proportion_confint(right, n, method="wilson")
    assert Caught(n, right).bounds == pytest.approx(expected)


@pytest.mark.parametrize(
    ("caught", "missed", "is_out"),
    [(0, 10, True), (9, 1, False), (10, 0, False), (16, 4, True), (49, 1, False), (0, 4, False)],
)
def test_a_reviewer_is_out_below_the_bar(caught: int, missed: int, is_out: bool):
    """From twenty on it must be reached for certain; below, it must be missed for certain."""
    found = people.look(planted("ann", caught, missed), min_reliability=0.8)
    assert found.out == (frozenset({"ann"}) if is_out else frozenset())
    assert people.look(planted("ann", caught, missed)).out == frozenset()


def test_planted_work_may_be_right_where_its_file_says_so():
    def given(reason: str) -> list[Episode]:
        return [
            decided(proposal(f"p{n}"), "approve", by="import", exclude="honeypot", reason=reason)
            for n in range(20)
        ]

    assert people.look(given("checked by two"), min_reliability=0.5).out == frozenset()
    assert people.look(given(f"{DERIVED}approve"), min_reliability=0.5).out == frozenset({"ann"})


def test_work_that_only_the_unreliable_back_is_left_out():
    out = People(out=frozenset({"ann"}))
    edit = {"verdict": "edit", "content": "new"}
    lone = decided(proposal(), "edit", {**edit, "reviewer": "ann"}, effective={"content": "new"})
    for kind in ("sft", "dpo", "kto", "reward"):
        assert drops(lone, kind=kind, people=out) == ["unreliable"]
    both = decided(
        proposal(),
        "edit",
        {**edit, "reviewer": "ann"},
        {**edit, "reviewer": "ben"},
        effective={"content": "new"},
    )
    [pair] = rows(both, people=out)
    assert pair.n_votes == 1
    assert [one.row.reviewer for one in pair.heard] == ["ben"]


def test_the_unreliable_rank_nothing():
    episode = chose(
        {"reviewer": "ann", "ranking": [["a"], ["b"], ["c"], ["d"]]},
        {"reviewer": "ben", "ranking": [["d"], ["c"], ["b"], ["a"]]},
    )
    [row] = rows(episode, people=People(out=frozenset({"ann"})))
    assert row.refs == ("d", "a")


def test_a_retry_of_what_only_the_unreliable_refused_is_no_pair():
    first = decided(proposal("p1"), "reject", {"verdict": "reject", "reviewer": "ann"})
    second = decided(
        proposal("p2", parent_id="p1", content="next"),
        "approve",
        {"verdict": "approve", "reviewer": "ben"},
    )
    assert rows(first, second, people=People(out=frozenset({"ann"}))) == []


def test_a_bar_is_a_share():
    with pytest.raises(Malformed, match="0 to 1"):
        people.look([], min_reliability=80)


def voted(id_: str, verdicts: dict[str, str]) -> Episode:
    """Imported work: any reject rejects."""
    outcome = "reject" if "reject" in verdicts.values() else "approve"
    said = [{"verdict": verdict, "reviewer": name} for name, verdict in verdicts.items()]
    return decided(proposal(id_, content=id_), outcome, *said, by="import", source="import")


def test_the_majority_labels_imported_work_where_each_votes_on_few():
    given = [
        voted("good", {"ann": "approve", "ben": "approve", "cy": "reject"}),
        voted("bad", {"ann": "reject", "ben": "approve", "cy": "reject"}),
        voted("even", {"ann": "reject", "ben": "approve"}),
    ]
    found = {
        row.chosen["content"]: row for row in rows(*given, kind="kto", people=people.look(given))
    }
    assert {text: row.label for text, row in found.items()} == {
        "good": True,
        "bad": False,
        "even": False,  # as it was decided
    }
    assert {text: row.aggregation for text, row in found.items()} == {
        "good": "majority",
        "bad": "majority",
        "even": "decision",
    }
    assert found["good"].agreement == pytest.approx(2 / 3)
    assert found["even"].agreement == 0.5


def test_where_each_votes_on_many_those_who_know_outweigh_those_who_guess():
    rng = random.Random(3)
    skills = {"ann": 0.95, "ben": 0.9, "cy": 0.5, "di": 0.5, "ed": 0.5}
    truth = {f"p{n}": rng.random() < 0.5 for n in range(300)}
    given = [
        voted(
            id_,
            {
                name: "approve" if good == (rng.random() < skill) else "reject"
                for name, skill in skills.items()
            },
        )
        for id_, good in truth.items()
    ]
    found = rows(*given, kind="kto", people=people.look(given))
    assert {row.aggregation for row in found} == {"dawid_skene"}
    weighed = sum(row.label == truth[row.chosen["content"]] for row in found) / 300
    majority = (
        sum(
            (sum(one.row.verdict == "approve" for one in episode.reviews) > 2)
            == truth[episode.row.id]
            for episode in given
        )
        / 300
    )
    assert weighed > majority + 0.02


def test_live_work_keeps_the_word_of_its_decision():
    said = {"ann": "approve", "ben": "approve", "cy": "reject"}
    reviews = [{"verdict": verdict, "reviewer": name} for name, verdict in said.items()]
    live = decided(proposal(), "reject", *reviews)
    [row] = rows(live, kind="kto", people=people.look([live]))
    assert (row.label, row.aggregation) == (False, "decision")
    assert row.agreement == pytest.approx(1 / 3)


def edited(*written: tuple[str, str, str | None], of: str = "the agent's text") -> Episode:
    """Imported work: the latest edit counts."""
    said = [
        {"verdict": "edit", "content": text, "reviewer": name, "role": role}
        for name, text, role in written
    ]
    effective = {"content": written[-1][1]}
    return decided(proposal(content=of), "edit", *said, effective=effective, by="import")


def test_a_seniors_text_goes_first_and_each_edit_is_kept():
    episode = edited(
        ("ann", "by ann", "senior"), ("ben", "by ben", "junior"), ("cy", "by ben", None)
    )
    [completion] = rows(episode, kind="sft")
    assert (completion.chosen["content"], completion.aggregation) == ("by ann", "senior")
    found = rows(episode)
    assert [texts(row) for row in found] == [
        ("by ann", "the agent's text"),
        ("by ben", "the agent's text"),
    ]
    assert [(row.n_votes, row.weight) for row in found] == [(3, 0.5), (3, 0.5)]
    assert [row.agreement for row in found] == pytest.approx([1 / 3, 2 / 3])
    assert len({row.id for row in found}) == 2


def test_without_a_senior_the_latest_text_goes_first():
    [completion] = rows(edited(("ann", "one", None), ("ben", "two", None)), kind="sft")
    assert (completion.chosen["content"], completion.aggregation) == ("two", "latest")


def test_people_who_write_the_same_are_one():
    [pair] = rows(edited(("ann", "new", None), ("ben", "new", "senior")))
    assert (pair.n_votes, pair.agreement, pair.aggregation) == (2, 1.0, "decision")


def rated(*ratings: dict[str, float], **fields: Any) -> Episode:
    said = [
        {"verdict": "edit", "content": "five", "ratings": each, "reviewer": f"person {n}"}
        for n, each in enumerate(ratings)
    ]
    of = proposal(kind="candidates", **{**ABCD, **fields})
    return decided(of, "edit", *said, effective={"content": "five"})


def compared(*episodes: Episode, **options: Any) -> dict[str, Any]:
    found = rows(*episodes, people=people.look(episodes), **options)
    return {"".join(row.refs): row for row in found if row.kind == "rating"}


def test_ratings_a_step_apart_are_pairs_and_closer_ones_are_ties():
    episode = rated({"a": 5, "b": 4.8, "c": 2, "d": 1, "quality": 3})
    found = compared(episode, kind="reward", strategy="all")
    margins = {refs: row.margin for refs, row in found.items()}
    assert margins == pytest.approx(
        {"ac": 3 / 4, "ad": 1, "bc": 2.8 / 4, "bd": 3.8 / 4, "cd": 1 / 4}
    )
    ties = [item for item in read(episode) if isinstance(item, Tie)]
    assert [tie.refs for tie in ties] == [("a", "b")]


def test_ratings_are_measured_by_each_persons_own_spread():
    """Ann uses 4 to 5 of the scale, and what is a step for her is none for Ben, who uses all."""
    ann = [rated({"a": 4.0, "b": 5.0}) for _ in range(5)]
    ben = [
        decided(
            proposal(kind="candidates", **ABCD),
            "edit",
            {
                "verdict": "edit",
                "content": "five",
                "ratings": {"a": 1, "b": 5, "c": 3.0, "d": 3.5},
                "reviewer": "ben",
            },
            effective={"content": "five"},
        )
        for _ in range(5)
    ]
    known = people.look([*ann, *ben])
    assert known.spans["person 0"] == pytest.approx(4 * 0.5)
    assert known.spans["ben"] > known.spans["person 0"]
    [row] = [row for row in rows(ann[0], people=known) if row.kind == "rating"]
    assert (row.refs, row.margin) == (("b", "a"), pytest.approx(0.5))
    narrow = rows(ben[0], people=known, strategy="all")
    assert ("d", "c") not in {row.refs for row in narrow}


def test_ratings_say_how_far_a_chosen_candidate_is_ahead():
    ratings = {"a": 5, "b": 3, "c": 1, "d": 1}
    found = rows(chose({"candidate": "a", "ratings": ratings}), kind="reward", strategy="all")
    assert {"".join(row.refs): (row.kind, row.margin) for row in found} == {
        "ab": ("choice", 0.5),
        "ac": ("choice", 1),
        "ad": ("choice", 1),
        "bc": ("rating", 0.5),
        "bd": ("rating", 0.5),
    }


def test_many_rankings_are_weighed_into_one_order():
    """b loses to a by one vote and beats the rest more clearly than c does."""
    episode = chose(
        {"reviewer": "ann", "ranking": [["a"], ["b"], ["c"], ["d"]]},
        {"reviewer": "ben", "ranking": [["a"], ["b"], ["d"], ["c"]]},
        {"reviewer": "cy", "ranking": [["b"], ["a"], ["d"], ["c"]]},
    )
    [row] = rows(episode, kind="reward")
    assert (row.refs, row.aggregation, row.n_votes) == (("a", "c"), "bradley_terry", 3)
    assert (row.agreement, row.margin) == (1.0, 1.0)


def test_of_equal_leads_the_clearer_one_is_the_best():
    """Both a and b beat c and d, and were never compared: a by more votes."""

    def said(name: str, *games: tuple[str, str]) -> dict[str, Any]:
        judged = [{"a": a, "b": b, "winner": "a"} for a, b in games]
        return {"reviewer": name, "pairwise": judged}

    episode = chose(
        said("ann", ("a", "c"), ("a", "d"), ("b", "c"), ("b", "d")),
        said("ben", ("a", "c"), ("a", "d"), ("b", "c"), ("b", "d")),
        said("cy", ("a", "c"), ("a", "d"), ("c", "b"), ("d", "b")),
    )
    [row] = rows(episode)
    assert row.refs[0] == "a"


def test_ties_are_counted_and_never_pairs():
    episode = chose({"ranking": [["a", "b"], ["c", "d"]]})
    found = read(episode, strategy="all")
    ties = [item.refs for item in found if isinstance(item, Tie)]
    assert ties == [("a", "b"), ("c", "d")]
    assert not set(ties) & {row.refs for row in rows(episode, strategy="all")}
