"""How the policy routes proposals."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errata.protocol import Action, Proposal
from ingestion.conditions import holds, ready
from ingestion.policy import Policy
from ingestion.policy_file import parse
from ingestion.ruling import Ruling, judge, rule
from tests.people import proposal

SCALARS = st.integers(-3, 3) | st.floats(-3, 3) | st.booleans() | st.sampled_from(
    ["", "a", "b", "a*", "?", "[ab]", "low", "high"]
)  # fmt: skip
NUMBERS = st.integers(-3, 3) | st.floats(-3, 3)
COMPARISONS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("lt", "lte", "gt", "gte"), NUMBERS | st.sampled_from(["a", "low"])),
        "ne": SCALARS,
        "in": st.lists(SCALARS, max_size=3),
        "not_in": st.lists(SCALARS, max_size=3),
        "matches": st.sampled_from(["a+", "b?", ""]),
    },
).filter(bool)
VALUES = SCALARS | st.none() | st.lists(SCALARS, max_size=2) | st.just({"a": 1})


def policy(rules: str = "", head: str = "") -> Policy:
    return parse(f"version: 1\n{head}\nrules:\n{rules}").policy if rules else parse(
        f"version: 1\n{head}\n"
    ).policy  # fmt: skip


def one_rule(when: str, route: str = "auto") -> Policy:
    return policy(f"  - {{name: it, when: {when}, route: {route}}}")


def acting(
    name: str = "transfer", arguments: dict[str, Any] | None = None, **more: Any
) -> Proposal:
    return proposal(
        kind="action", action={"name": name, "arguments": arguments or {}}, content=None, **more
    )


def routed(when: str, asked: Proposal, route: str = "auto") -> bool:
    return rule(one_rule(when, route), asked).rule == "it"


@pytest.mark.parametrize(
    ("when", "arguments", "holds"),
    [
        ("{args.amount: 5}", {"amount": 5}, True),
        ("{args.amount: 5}", {"amount": 5.0}, True),
        ("{args.amount: 5}", {"amount": 6}, False),
        ("{args.to: bob}", {"to": "bob"}, True),
        ("{args.to: 'b*'}", {"to": "bob"}, True),
        ("{args.to: 'b*'}", {"to": "Bob"}, False),
        ("{args.to: [ann, 'b?b']}", {"to": "bob"}, True),
        ("{args.to: [ann, eve]}", {"to": "bob"}, False),
        ("{args.to: [7, bob]}", {"to": "bob"}, True),
        ("{args.to: [7, ann]}", {"to": "bob"}, False),
        ("{args.ok: true}", {"ok": True}, True),
        ("{args.amount: {gte: 0, lt: 100}}", {"amount": 0}, True),
        ("{args.amount: {gte: 0, lt: 100}}", {"amount": 100}, False),
        ("{args.amount: {gt: 0, lte: 100}}", {"amount": 100}, True),
        ("{args.amount: {gt: 0, lte: 100}}", {"amount": 0}, False),
        ("{args.amount: {gte: 0}}", {"amount": -0.01}, False),
        ("{args.to: {ne: eve}}", {"to": "bob"}, True),
        ("{args.to: {ne: eve}}", {"to": "eve"}, False),
        ("{args.to: {in: [ann, bob]}}", {"to": "bob"}, True),
        ("{args.to: {not_in: [ann, bob]}}", {"to": "bob"}, False),
        ("{args.to: {not_in: [ann, eve]}}", {"to": "bob"}, True),
        ("{args.to: {not_in: []}}", {"to": "bob"}, True),
        ("{args.to: {in: []}}", {"to": "bob"}, False),
        ("{args.to: {matches: 'b.b'}}", {"to": "bob"}, True),
        ("{args.to: {matches: 'b'}}", {"to": "bob"}, False),
        ("{args.day: {gte: '2026-01-01'}}", {"day": "2026-03-01"}, True),
        ("{args.customer.tier: gold}", {"customer": {"tier": "gold"}}, True),
        ("{args.customer.tier: gold}", {"customer": {"tier": "tin"}}, False),
    ],
)
@pytest.mark.parametrize("route", ["auto", "block"])
def test_a_condition_on_a_value_of_its_type_holds_or_not_whatever_the_route(
    when: str, arguments: dict[str, Any], holds: bool, route: str
) -> None:
    assert routed(when, acting(arguments=arguments), route) is holds


@pytest.mark.parametrize(
    "condition",
    ["5", "[5, 6]", "{lt: 5}", "{gte: 5}", "{ne: 5}", "{in: [5]}", "{not_in: [5]}"],
)
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"a": None},
        {"a": "5"},
        {"a": True},
        {"a": [5]},
        {"a": {"b": 5}},
    ],
)
def test_an_absent_or_wrongly_typed_value_fails_rules_that_loosen_and_no_others(
    condition: str, arguments: dict[str, Any]
) -> None:
    asked = acting(arguments=arguments)
    assert not routed(f"{{args.a: {condition}}}", asked, "auto")
    assert routed(f"{{args.a: {condition}}}", asked, "queue")
    assert routed(f"{{args.a: {condition}}}", asked, "block")


@pytest.mark.parametrize("condition", ["true", "[true]", "{ne: true}", "{in: [false]}"])
def test_a_number_is_no_boolean(condition: str) -> None:
    assert not routed(f"{{args.a: {condition}}}", acting(arguments={"a": 1}), "auto")
    assert routed(f"{{args.a: {condition}}}", acting(arguments={"a": 1}), "block")


def test_a_pattern_on_what_is_no_text_counts_against_the_agent() -> None:
    asked = acting(arguments={"a": 5})
    assert not routed("{args.a: {matches: '5'}}", asked, "auto")
    assert routed("{args.a: {matches: '5'}}", asked, "queue")


@pytest.mark.parametrize(
    "arguments",
    [
        {"customer.tier": "gold", "customer": {"tier": "tin"}},
        {"customer": {"tier": "tin"}, "customer.tier": "gold"},
        {"customer.tier": "gold"},
    ],
)
def test_a_dotted_key_cannot_speak_for_a_nested_one(arguments: dict[str, Any]) -> None:
    assert not routed("{args.customer.tier: gold}", acting(arguments=arguments), "auto")


@pytest.mark.parametrize(
    ("when", "asked", "holds"),
    [
        ("{kind: draft}", proposal(), True),
        ("{kind: draft}", acting(), False),
        ("{action: transfer}", acting(), True),
        ("{action: ['search_*', 'get_*']}", acting("get_order"), True),
        ("{action: ['search_*', 'get_*']}", acting("set_order"), False),
        ("{action: transfer}", proposal(), False),
        ("{agent.id: 'de*'}", proposal(), True),
        ("{urgency: high}", proposal(urgency="high"), True),
        ("{urgency: {gte: high}}", proposal(urgency="critical"), True),
        ("{urgency: {gte: high}}", proposal(), False),
        ("{metadata.team: red}", proposal(metadata={"team": "red"}), True),
        ("{confidence.value: {gte: 0.9}}", proposal(), False),
        (
            "{confidence.value: {gte: 0.9}}",
            proposal(confidence={"value": 0.95, "method": "judge"}),
            True,
        ),
        ("{risk.level: low}", proposal(risk={"level": "low"}), True),
        ("{risk.level: {lte: medium}}", proposal(risk={"level": "low"}), True),
        ("{risk.level: {lte: medium}}", proposal(risk={"level": "high"}), False),
        ("{risk.level: {lte: medium}}", proposal(risk={"level": "critical"}), False),
        ("{risk.amount: {lt: 10}}", proposal(risk={"level": "low", "amount": 5}), True),
        ("{risk.reversible: true}", proposal(risk={"level": "low", "reversible": True}), True),
    ],
)
def test_rules_look_at_more_than_arguments(when: str, asked: Proposal, holds: bool) -> None:
    assert routed(when, asked) is holds


def test_the_first_rule_that_matches_wins() -> None:
    rules = """
  - {name: first, when: {action: transfer, args.amount: {gte: 0, lt: 10}}, route: auto}
  - {name: second, when: {action: transfer}, route: queue}
  - {name: third, when: {action: "*"}, route: block}
"""
    assert rule(policy(rules), acting(arguments={"amount": 5})).rule == "first"
    assert rule(policy(rules), acting(arguments={"amount": 50})).rule == "second"
    assert rule(policy(rules), acting("other")).rule == "third"


def test_without_a_matching_rule_the_default_holds() -> None:
    assert rule(policy(), acting())[:3] == ("queue", "default", "no rule matched")
    blocked = policy(head="default: {route: block, expires_in: 90s, on_timeout: cancel}")
    ruling = rule(blocked, acting())
    assert (ruling.route, ruling.expires_in.total_seconds(), ruling.on_timeout) == (
        "block",
        90,
        "cancel",
    )


RED = policy(
    '  - {name: all, when: {action: "*"}, route: auto}', head='red_lines: [{action: "drop_*"}]'
)


def test_a_red_line_stands_above_every_rule() -> None:
    assert rule(RED, acting("drop_table")).route == "block"
    assert rule(RED, acting("make_table")).route == "auto"


def choice(*names: str) -> Proposal:
    return proposal(
        kind="candidates",
        content=None,
        candidates=[
            {"id": f"c{index}", "action": {"name": name, "arguments": {}}}
            for index, name in enumerate(names)
        ],
    )


def test_a_red_line_inside_a_candidate_blocks_the_choice() -> None:
    assert rule(RED, choice("make_table", "drop_table")).route == "block"
    assert rule(RED, choice("make_table", "fill_table")).route == "queue"


def test_the_strictest_candidate_decides_the_route() -> None:
    rules = """
  - {name: small, when: {action: get}, route: auto}
  - {name: never, when: {action: set}, route: block}
"""
    assert rule(policy(rules), choice("get", "set")).rule == "never"


@pytest.mark.parametrize("kind", ["question", "exception"])
def test_what_needs_an_answer_is_never_automatic(kind: str) -> None:
    asked = proposal(kind=kind, content=None, message="When?")
    ruling = rule(policy(head="default: {route: auto}"), asked)
    assert (ruling.route, ruling.propensity) == ("queue", 1.0)


def test_a_persons_version_is_routed_in_place_of_the_proposals() -> None:
    version = Action(name="drop_all", arguments={})
    assert judge(RED, acting("make_table"), version).route == "block"


TOOLS = "tools: {transfer: {risk: high, reversible: false}, look: {risk: low}}"


@pytest.mark.parametrize(
    ("name", "stated", "expected"),
    [
        ("transfer", "low", "high"),
        ("transfer", "critical", "critical"),
        ("transfer", None, "high"),
        ("look", "medium", "medium"),
    ],
)
def test_the_higher_risk_counts_whoever_states_it(
    name: str, stated: str | None, expected: str
) -> None:
    given = policy(f"  - {{name: it, when: {{risk.level: {expected}}}, route: auto}}", head=TOOLS)
    risk = {} if stated is None else {"risk": {"level": stated}}
    assert rule(given, acting(name, **risk)).rule == "it"


def test_a_tool_that_the_policy_calls_irreversible_stays_so() -> None:
    given = policy("  - {name: it, when: {risk.reversible: true}, route: auto}", head=TOOLS)
    stated = {"risk": {"level": "low", "reversible": True}}
    assert rule(given, acting("transfer", **stated)).rule == "default"
    assert rule(given, acting("look", **stated)).rule == "it"


def test_the_propensity_is_the_probability_of_asking_people() -> None:
    def propensity(route: str) -> float:
        found: Ruling = rule(one_rule("{action: transfer}", route), acting())
        return found.propensity

    assert [propensity(route) for route in ("auto", "queue", "block")] == [0.0, 1.0, 0.0]


@settings(max_examples=1000, deadline=None)
@given(
    condition=SCALARS | st.lists(SCALARS, min_size=1, max_size=3) | COMPARISONS,
    value=VALUES,
    when_unknown=st.booleans(),
)
def test_a_ready_condition_answers_as_the_condition_does(
    condition: Any, value: Any, when_unknown: bool
) -> None:
    assert ready(condition, when_unknown)(value) == holds(condition, value, when_unknown)


def test_the_first_rule_of_the_file_decides_however_its_conditions_are_ordered() -> None:
    shared = "args.a: {gte: 0}"
    rules = policy(
        f"  - {{name: one, when: {{{shared}, args.b: x}}, route: auto}}\n"
        f"  - {{name: two, when: {{{shared}, args.c: y}}, route: block}}\n"
        f"  - {{name: three, when: {{{shared}}}, route: takeover}}\n"
    )
    for arguments, name in [
        ({"a": 1, "b": "x", "c": "y"}, "one"),
        ({"a": 1, "c": "y"}, "two"),
        ({"a": -1, "b": "x", "c": "y"}, "default"),
        ({"a": 1, "b": "y", "c": "x"}, "three"),
    ]:
        assert rule(rules, acting(arguments=arguments)).rule == name


def test_a_rule_on_calls_says_nothing_of_what_calls_nothing() -> None:
    block = one_rule("{action: 'drop_*'}", "block")
    assert rule(block, proposal()).rule == "default"
    assert rule(block, proposal(kind="question", content=None, message="Which?")).rule == "default"
    beside = proposal(action={"name": "drop_all", "arguments": {}})  # a draft's will not run
    assert rule(block, beside).rule == "default"
    assert rule(block, acting("drop_all")).route == "block"
    both = one_rule("{action: '*', args.amount: {gte: 5}}", "block")
    assert rule(both, proposal()).rule == "default"
    assert rule(both, acting("x")).route == "block"  # other absent values count as before
    assert rule(one_rule("{kind: draft}", "block"), proposal()).route == "block"
