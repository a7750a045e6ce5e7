"""Warnings of a policy file: only what can be proved, and `errata policy check` and `explain`."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from errata.cli import app
from errata.errors import ErrataError
from ingestion import keys, policies, store, warnings
from ingestion.policy import Policy
from ingestion.policy_file import parse
from ingestion.ruling import rule
from tests.people import NOW, Api, action, proposal


def covered(above: str, below: str, routes: tuple[str, str] = ("queue", "queue")) -> bool:
    policy = parse(
        f"version: 1\nrules:\n  - {{name: above, when: {above}, route: {routes[0]}}}\n"
        f"  - {{name: below, when: {below}, route: {routes[1]}}}\n"
    )
    return any("'below' is never reached: 'above'" in one for one in policy.warnings)


@pytest.mark.parametrize(
    ("above", "below", "expected"),
    [
        ("{action: transfer}", "{action: transfer, args.a: 1}", True),
        ("{action: transfer, args.a: 1}", "{action: transfer}", False),
        ("{action: '*'}", "{action: 'get_*'}", True),
        ("{action: '*'}", "{kind: draft}", False),  # a draft has no action
        ("{action: 'get_*'}", "{action: [get_a, get_b]}", True),
        ("{action: 'get_*'}", "{action: [get_a, set_b]}", False),
        ("{action: 'get_*'}", "{action: 'get_a*'}", False),  # true, and not proved
        ("{action: [a, b]}", "{action: {in: [b, a]}}", True),
        ("{args.a: {lte: 10}}", "{args.a: {gte: 0, lt: 10}}", True),
        ("{args.a: {lt: 10}}", "{args.a: {lte: 10}}", False),
        ("{args.a: {gt: 0}}", "{args.a: {gte: 0}}", False),
        ("{args.a: {gte: 0}}", "{args.a: {gt: 0}}", True),
        ("{args.a: {gte: 0}}", "{args.a: {lt: 0}}", False),
        ("{args.a: {gte: 1, lte: 1}}", "{args.a: 1}", False),  # true, and not proved
        ("{args.a: 1}", "{args.a: true}", False),
        ("{args.a: {ne: 1}}", "{args.a: {ne: 1}}", True),
        ("{risk.level: {gte: low}}", "{risk.level: {gte: high}}", False),
        ("{}", "{args.a: 1}", True),
    ],
)
def test_a_rule_that_an_earlier_one_covers_is_never_reached(
    above: str, below: str, expected: bool
) -> None:
    assert covered(above, below) is expected


def test_an_automatic_rule_does_not_cover_a_stricter_one_where_a_value_may_be_absent() -> None:
    when = "{action: transfer, args.a: {gte: 0}}"
    assert covered(when, when, ("auto", "auto"))
    assert covered(when, when, ("block", "auto"))
    assert not covered(when, when, ("auto", "block"))
    assert covered("{action: transfer}", when, ("auto", "block"))


TEXTS = st.sampled_from(["a", "b", "ab", "a*", "*", "?"])
NUMBERS = st.integers(0, 4)
COMPARISONS = st.dictionaries(st.sampled_from(["lt", "lte", "gt", "gte"]), NUMBERS, min_size=1)
CONDITION = TEXTS | NUMBERS | st.booleans() | COMPARISONS | st.lists(TEXTS, min_size=1, max_size=3)
WHEN = st.fixed_dictionaries({}, optional={"args.a": CONDITION, "args.b": CONDITION})
VALUE = (
    st.none() | NUMBERS | st.floats(0, 4) | st.booleans() | st.sampled_from(["a", "b", "ab", ""])
)


@settings(max_examples=600, deadline=None)
@given(
    whens=st.lists(st.tuples(WHEN, st.sampled_from(["auto", "block"])), min_size=2, max_size=4),
    values=st.lists(st.tuples(VALUE, VALUE), min_size=5, max_size=5),
)
def test_what_is_said_never_to_be_reached_never_decides(
    whens: list[tuple[dict[str, object], str]], values: list[tuple[object, object]]
) -> None:
    rules = [{"name": f"r{n}", "when": w, "route": r} for n, (w, r) in enumerate(whens)]
    policy = Policy.model_validate({"version": 1, "rules": rules})
    dead = {one.split("'")[1] for one in warnings.of(policy) if "never reached" in one}
    for a, b in values:
        asked = proposal(
            kind="action", content=None, action={"name": "x", "arguments": {"a": a, "b": b}}
        )
        assert rule(policy, asked).rule not in dead


def test_an_automatic_tool_without_a_schema_is_warned_of() -> None:
    text = """\
version: 1
tools:
  checked: {schema: {type: object}}
  unchecked: {reversible: true}
rules:
  - {name: runs, when: {action: [checked, unchecked, unknown, "get_*"]}, route: auto}
  - {name: asks, when: {action: other}, route: queue}
"""
    assert parse(text).warnings == [
        f"rule 'runs' is automatic and the tool {name!r} has no schema: its arguments are not checked"
        for name in ("unchecked", "unknown")
    ]


GROUPS = """\
version: 1
default: {quorum: {needed: 1, from: [everyone]}}
rules:
  - name: large
    when: {action: wire}
    route: queue
    quorum: {needed: 2, roles: [senior, security], tie_break: [director]}
    on_timeout: escalate
    escalate_to: [director, board]
  - {name: away, when: {action: hire}, route: queue, on_timeout: delegate, delegate_to: [gone]}
"""


def test_groups_that_nobody_belongs_to_are_named() -> None:
    assert warnings.of_groups(parse(GROUPS).policy, {"everyone", "senior", "director"}) == [
        "rule 'large' names the group 'security' in quorum.roles; nobody belongs to it",
        "rule 'large' names the group 'board' in escalate_to; nobody belongs to it",
        "rule 'away' names the group 'gone' in delegate_to; nobody belongs to it",
    ]


def run(api: Api, *words: str) -> Result:
    url = api.database.engine.url.render_as_string(hide_password=False)
    return CliRunner().invoke(app, ["policy", *words], env={"ERRATA_DATABASE_URL": url})


def test_check_looks_at_the_groups_of_a_data_folder(api: Api, tmp_path: Path) -> None:
    with api.database.transaction() as session:
        for name, stated in [("sam", "senior"), ("old", "security@2020-01-01"), ("d", "director")]:
            joined = dict([keys.group(stated)])
            keys.create(session, "reviewer", name, groups=joined, actor="test", now=NOW)
    file = tmp_path / "policy.yaml"
    file.write_text(GROUPS)
    plain = run(api, "check", str(file))
    assert plain.exit_code == 0
    assert "nobody" not in plain.stdout
    done = run(api, "check", str(file), "--home", str(tmp_path), "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    named = [one.split("'")[-2] for one in found["warnings"]]
    assert named == ["everyone", "security", "board", "gone"]
    assert found["version"] == parse(GROUPS).version
    assert found["mistakes"] == []


def test_check_prints_mistakes_as_json(api: Api, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("version: 1\nrulez: []\n")
    done = run(api, "check", str(file), "--json")
    assert done.exit_code == 1
    mistake = json.loads(done.stdout)["mistakes"][0]
    assert (mistake["line"], mistake["key"]) == (2, "rulez")


def explaining_policy(tmp_path: Path) -> str:
    file = tmp_path / "policy.yaml"
    file.write_text(
        "version: 1\nrules:\n"
        "  - {name: small, when: {action: refund, args.amount: {gte: 0, lt: 20}}, route: auto}\n"
        "  - {name: rest, when: {action: refund}, route: queue, rationale: required,\n"
        "     quorum: {needed: 2, roles: [senior]}, on_timeout: escalate, escalate_to: [boss]}\n"
    )
    return str(file)


def test_explain_says_where_a_proposal_of_a_file_goes(api: Api, tmp_path: Path) -> None:
    asked = tmp_path / "proposal.json"
    asked.write_text(json.dumps(action(amount=30)))
    policy = explaining_policy(tmp_path)
    assert run(api, "explain", policy, str(asked)).stdout.splitlines() == [
        "queue: rule 'rest'",
        "  2 must agree; one from each of senior; each gives a reason; "
        "after 1 day, 0:00:00: escalate to boss",
        "  args.amount below 20 and at least 0 would have run at once (rule 'small').",
    ]
    found = json.loads(run(api, "explain", policy, str(asked), "--json").stdout)
    assert (found["route"], found["rule"], found["terms"]["needed"]) == ("queue", "rest", 2)
    assert len(found["counterfactuals"]) == 1


def test_explain_says_where_a_stored_proposal_would_go(api: Api, tmp_path: Path) -> None:
    ticket = api.propose(action(amount=5))
    policy = explaining_policy(tmp_path)
    call = ("explain", policy, ticket["id"], "--home", str(tmp_path))
    assert run(api, *call).stdout.startswith("auto: rule 'small'")
    with api.database.transaction() as session:
        policies.apply(session, "version: 1\n", actor="test", now=NOW)
        store.erase(session, [ticket["id"]], actor="test", now=NOW)
    for words, says in [(call, "has been erased"), (("explain", policy, "none"), "no proposal")]:
        done = run(api, *words)
        assert done.exit_code == 1
        assert isinstance(done.exception, ErrataError)
        assert says in done.exception.detail


@pytest.mark.parametrize(
    ("text", "field"),
    [("{", "body"), ('{"hap": "1", "kind": "draft"}', "agent"), ('{"a": 1, "a": 2}', "body")],
)
def test_explain_names_what_is_wrong_with_a_proposal(
    api: Api, tmp_path: Path, text: str, field: str
) -> None:
    asked = tmp_path / "proposal.json"
    asked.write_text(text)
    done = run(api, "explain", explaining_policy(tmp_path), str(asked))
    assert isinstance(done.exception, ErrataError)
    assert done.exception.field == field
