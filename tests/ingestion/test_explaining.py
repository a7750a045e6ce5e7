"""What would have sent a proposal elsewhere: said in the file's order, and always true."""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errata.protocol import Proposal
from ingestion import explaining
from ingestion.policy import Policy
from ingestion.policy_file import parse
from ingestion.ruling import rule
from tests.people import POLICY, Api, action, proposal

MONEY = parse("""\
version: 1
trusted_confidence: [cfo]
red_lines: [{action: "drop_*"}]
rules:
  - {name: small, when: {action: transfer, args.amount: {gte: 0, lt: 100}}, route: auto}
  - {name: medium, when: {action: transfer, args.amount: {lte: 1000}}, route: queue}
  - {name: large, when: {action: transfer}, route: queue, quorum: 2}
  - {name: sure, when: {action: "get_*"}, confidence: {auto: 0.9, approve: 0.6}}
  - {name: bad, when: {action: mail, args.to: {in: [eve, mallory]}}, route: block}
  - {name: many, when: {action: mail, args.count: {gt: 50}}, route: block}
  - {name: lists, when: {action: mail, args.list: {ne: true}, args.count: {gt: 9}}, route: takeover}
  - {name: low, when: {action: mail, risk.level: {lte: medium}}, route: auto}
  - {name: nested, when: {action: book, args.trip.price: {gte: 0, lte: 50}}, route: auto}
  - {name: ours, when: {action: post, agent.id: "press_*", metadata.team: [news, sport]}, route: auto}
  - {name: words, when: {action: post, args.text: {matches: "[a-z]+"}}, route: auto}
""").policy


def acting(
    name: str, arguments: dict[str, Any] | None = None, agent: str = "desk", **more: Any
) -> Proposal:
    called = {"name": name, "arguments": arguments or {}}
    return proposal(kind="action", content=None, action=called, agent={"id": agent}, **more)


def sure(value: float) -> dict[str, Any]:
    return {"value": value, "method": "judge"}


def said(policy: Policy, asked: Proposal) -> list[str]:
    return list(explaining.explain(policy, asked).counterfactuals)


@pytest.mark.parametrize(
    ("asked", "sentences"),
    [
        (acting("transfer", {"amount": 5000}), [
            "args.amount below 100 and at least 0 would have run at once (rule 'small').",
            "args.amount of 1000 would have needed 1 instead of 2 to agree (rule 'medium').",
        ]),
        (acting("transfer", {"amount": 50}), [
            "args.amount just below 0 would have waited for a person (rule 'medium').",
            "args.amount of 100 would have waited for a person (rule 'medium').",
        ]),
        (acting("transfer"), [
            "args.amount of at least 0 and below 100 would have run at once (rule 'small').",
            "args.amount just above 1000 would have needed 2 instead of 1 to agree (rule 'large').",
        ]),
        (acting("drop_table"), ["nothing would have let it pass: red line 'drop_*'."]),
        (acting("get_x", confidence=sure(0.95)),
         ["a trusted agent with this confidence would have run at once (rule 'sure')."]),
        (acting("get_x", confidence=sure(0.7)), []),  # trusted, it would have waited all the same
        (acting("get_x", agent="cfo", confidence=sure(0.7)), [
            "confidence of at least 0.9 would have run at once (rule 'sure').",
            "confidence just below 0.6 would have been handed to a person (rule 'sure').",
        ]),
        (acting("get_x", agent="cfo"),
         ["confidence of at least 0.9 would have run at once (rule 'sure')."]),
        (acting("mail", {"to": "eve", "count": 1}), []),
        (acting("mail", {"to": "bob", "count": 10, "list": True}, risk={"level": "high"}), [
            "args.to of 'eve' would have been blocked (rule 'bad').",
            "args.count above 50 would have been blocked (rule 'many').",
            "args.list of false would have been handed to a person (rule 'lists').",
            "risk.level of 'medium' would have run at once (rule 'low').",
        ]),
        (acting("book", {"trip": {"price": 60}}),
         ["args.trip.price of at most 50 and at least 0 would have run at once (rule 'nested')."]),
        (acting("book", {"trip": 7}), []),  # a price would need another trip
        (acting("book", {"trip": {"price": {"eur": 1}}}), []),
        (acting("post", {"text": "A"}, agent="press_1", metadata={"team": "arts"}),
         ["metadata.team of 'news' would have run at once (rule 'ours')."]),
        (acting("post", {"text": "A"}, metadata={"team": "news"}),
         ["agent.id like 'press_*' would have run at once (rule 'ours')."]),
        (acting("post", {"text": "A"}), []),  # two facts stand in the way of one, a pattern of the other
        (proposal(), []),
        (proposal(kind="question", content=None, message="Which?"), []),
    ],
)  # fmt: skip
def test_what_would_have_changed_the_route_is_said(asked: Proposal, sentences: list[str]) -> None:
    assert said(MONEY, asked) == sentences


def test_at_most_five_sentences_are_said() -> None:
    rules = "\n".join(
        f"  - {{name: r{n}, when: {{args.a{n}: {{gt: {n}}}}}, route: block}}" for n in range(9)
    )
    policy = parse(f"version: 1\nrules:\n{rules}").policy
    asked = acting("x", {f"a{n}": 0 for n in range(9)})
    assert said(policy, asked) == [
        f"args.a{n} above {n} would have been blocked (rule 'r{n}')." for n in range(5)
    ]


def test_candidates_with_a_red_line_among_them_say_so() -> None:
    choices = [{"id": "a", "content": "x"}, {"id": "b", "action": action("drop_x")["action"]}]
    asked = proposal(kind="candidates", content=None, candidates=choices)
    assert said(MONEY, asked) == ["nothing would have let it pass: red line 'drop_*'."]


NUMBERS = st.integers(0, 6)
COMPARISONS = st.dictionaries(st.sampled_from(["lt", "lte", "gt", "gte"]), NUMBERS, min_size=1)
CONDITIONS = COMPARISONS | NUMBERS | st.lists(NUMBERS, min_size=1, max_size=3)
WHENS = st.dictionaries(st.sampled_from(["args.a", "args.b", "metadata.c"]), CONDITIONS, max_size=3)
ROUTES = st.sampled_from(["auto", "queue", "takeover", "block"])
SENTENCE = re.compile(
    r"(?P<path>\S+) (?P<words>(?:of|just|at|above|below) .+?) would have "
    r"(?P<deed>.+) \((?:rule '(?P<rule>\w+)'|the default)\)\."
)
DEEDS = {
    "run at once": "auto",
    "waited": "queue",
    "been handed": "takeover",
    "been blocked": "block",
}


def meant(words: str) -> list[float]:
    """Values that a sentence speaks of: every one of them must do what it says."""
    if exact := re.fullmatch(r"of (\d+)", words):
        return [float(exact[1])]
    if just := re.fullmatch(r"just (below|above) (\d+)", words):
        return [int(just[2]) + (1e-9 if just[1] == "above" else -1e-9)]
    allowed = [n / 4 for n in range(-9, 40)]
    for part in words.removeprefix("of ").split(" and "):
        match part.split():
            case ["below", n]:
                allowed = [v for v in allowed if v < int(n)]
            case ["above", n]:
                allowed = [v for v in allowed if v > int(n)]
            case ["at", "most", n]:
                allowed = [v for v in allowed if v <= int(n)]
            case ["at", "least", n]:
                allowed = [v for v in allowed if v >= int(n)]
            case other:
                raise AssertionError(other)
    assert allowed
    return allowed


@settings(max_examples=400, deadline=None)
@given(
    whens=st.lists(st.tuples(WHENS, ROUTES), max_size=5),
    values=st.dictionaries(st.sampled_from(["args.a", "args.b", "metadata.c"]), NUMBERS),
)
def test_every_sentence_holds_when_its_change_is_made(
    whens: list[tuple[dict[str, Any], str]], values: dict[str, float]
) -> None:
    data = [{"name": f"r{n}", "when": w, "route": r} for n, (w, r) in enumerate(whens)]
    policy = Policy.model_validate({"version": 1, "rules": data})

    def built(facts: dict[str, float]) -> Proposal:
        args = {path[5:]: v for path, v in facts.items() if path.startswith("args.")}
        more = {path[9:]: v for path, v in facts.items() if path.startswith("metadata.")}
        return acting("x", args, metadata=more)

    for sentence in said(policy, built(values)):
        found = SENTENCE.fullmatch(sentence)
        assert found, sentence
        for value in meant(found["words"]):
            there = rule(policy, built({**values, found["path"]: value}))
            assert there.rule == (found["rule"] or "default"), (sentence, value)
            assert there.route == next(
                route for deed, route in DEEDS.items() if found["deed"].startswith(deed)
            ), (sentence, value)


def test_a_decision_of_the_policy_says_what_would_have_changed_it(api: Api) -> None:
    ticket = api.propose(action("transfer", amount=5.0))
    assert ticket["decision"]["counterfactuals"] == [
        "args.amount just below 0 would have waited for a person (the default).",
        "args.amount of 100 would have waited for a person (the default).",
    ]
    blocked = api.propose(action("drop_table"))
    assert blocked["decision"]["counterfactuals"] == [
        "nothing would have let it pass: red line 'drop_*'."
    ]


def test_a_decision_of_people_says_what_would_have_passed_without_them(api: Api) -> None:
    ticket = api.approved(action("transfer", amount=500.0))
    assert ticket["decision"]["counterfactuals"] == [
        "args.amount below 100 and at least 0 would have run at once (rule 'small transfers')."
    ]
    assert api.approved(action("refund"))["decision"]["counterfactuals"] == []


def test_an_edited_decision_speaks_of_what_the_agent_proposed(api: Api) -> None:
    ticket = api.propose(action("transfer", amount=500.0, to="bob"))
    version = {"name": "transfer", "arguments": {"amount": 50.0, "to": "bob"}}
    decided = api.review(ticket, "edit", action=version).json()["decision"]
    assert decided["counterfactuals"] == [
        "args.amount below 100 and at least 0 would have run at once (rule 'small transfers')."
    ]


def test_what_a_lot_brought_to_people_says_so(api: Api) -> None:
    policy = parse(POLICY).policy
    asked = Proposal.model_validate(action("transfer", amount=5.0))
    lot = explaining.unasked(policy, asked, "review", "drawn")
    assert lot == (
        "without the lot that was drawn it would have run at once (rule 'small transfers').",
    )
    assert explaining.unasked(policy, asked, None, "something else") == ()


def test_what_a_halt_stopped_says_so(api: Api) -> None:
    people = api.people
    assert api.client.post("/v1/halt", headers=people.supervisor.headers).is_success
    ticket = api.propose(action("transfer", amount=5.0))
    decided = api.review(ticket, "approve").json()["decision"]
    assert decided["counterfactuals"] == [
        "outside a halt it would have run at once (rule 'small transfers')."
    ]
