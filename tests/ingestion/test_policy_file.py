"""Reading the policy file: every mistake is named by line and key."""

import pytest

from errata.errors import ErrataError
from ingestion.policy_file import STARTING_POLICY, BadPolicy, parse

GOOD = """\
version: 1
default: {route: queue, quorum: 1, expires_in: 24h, on_timeout: reject}
red_lines:
  - {action: "drop_*"}
tools:
  transfer:
    schema: {type: object}
rules:
  - name: small
    when: {action: transfer, args.amount: {gte: 0, lt: 100}}
    route: auto
"""


def test_a_good_file_is_read_without_warnings() -> None:
    versioned = parse(GOOD)
    assert versioned.policy.rules[0].name == "small"
    assert versioned.warnings == []


def test_the_starting_policy_is_good_and_stays_so_when_uncommented() -> None:
    parse(STARTING_POLICY)
    lines = [line.removeprefix("# ") for line in STARTING_POLICY.splitlines()[2:]]
    policy = parse("\n".join(lines)).policy
    assert [one.action for one in policy.red_lines] == ["drop_*"]
    assert policy.rules[0].route == "auto"


@pytest.mark.parametrize(
    ("old", "new", "line", "key"),
    [
        ("version: 1", "version: 2", 1, "version"),
        ("version: 1", "versoin: 1", 1, "version"),
        ("route: queue,", "route: ask,", 2, "default.route"),
        ("quorum: 1", "quorum: 0", 2, "default.quorum.needed"),
        ("quorum: 1", "quorum: 21", 2, "default.quorum.needed"),
        ("quorum: 1", "quorum: true", 2, "default.quorum"),
        ("quorum: 1", "quorum: {needed: 1, roles: [a, b]}", 2, "default.quorum"),
        ("quorum: 1", "quorum: {neded: 1}", 2, "default.quorum.neded"),
        ("on_timeout: reject", "on_timeout: approve", 2, "default.on_timeout"),
        ("on_timeout: reject", "on_timeout: escalate", 2, "default"),
        ("    route: auto", "    confidence: {auto: 0.5, approve: 0.9}", 11, "rules.0.confidence"),
        ("    route: auto", "    rationale: required", 9, "rules.0"),
        ("24h", "24", 2, "default.expires_in"),
        ("24h", "a day", 2, "default.expires_in"),
        ("24h", "4000d", 2, "default.expires_in"),
        ("24h", "9" * 400 + "d", 2, "default.expires_in"),
        ("red_lines", "red_line", 3, "red_line"),
        ('{action: "drop_*"}', '{tool: "drop_*"}', 4, "red_lines.0.tool"),
        ("schema: {type: object}", "schema: {type: objekt}", 7, "tools.transfer.schema"),
        ("schema: {type: object}", "schema: 7", 7, "tools.transfer.schema"),
        ("  - name: small", "  - nam: small", 9, "rules.0.nam"),
        ("args.amount", "arg.amount", 10, "rules.0.when.arg.amount"),
        ("args.amount", "args", 10, "rules.0.when.args"),
        ("gte: 0", "min: 0", 10, "rules.0.when.args.amount"),
        ("gte: 0", "gte: [0]", 10, "rules.0.when.args.amount"),
        ("gte: 0", "gte: true", 10, "rules.0.when.args.amount"),
        ("gte: 0", "in: 5", 10, "rules.0.when.args.amount"),
        ("gte: 0", "in: [[5]]", 10, "rules.0.when.args.amount"),
        ("gte: 0", "ne: {a: 1}", 10, "rules.0.when.args.amount"),
        ("gte: 0", "matches: 5", 10, "rules.0.when.args.amount"),
        ("gte: 0", 'matches: "("', 10, "rules.0.when.args.amount"),
        ("args.amount: {gte: 0, lt: 100}", "args.amount: {}", 10, "rules.0.when.args.amount"),
        ("args.amount: {gte: 0, lt: 100}", "args.amount: []", 10, "rules.0.when.args.amount"),
        ("args.amount: {gte: 0, lt: 100}", "args.amount: null", 10, "rules.0.when.args.amount"),
        ("args.amount: {gte: 0, lt: 100}", "risk.level: {gt: hihg}", 10, "rules.0.when"),
        ("args.amount: {gte: 0, lt: 100}", "args.a: {ne: 2026-01-01}", 10,
         "rules.0.when.args.a"),
        ("    route: auto", "    route: yes", 11, "rules.0.route"),
        ("    route: auto", "    route: auto\n    route: block", 12, "rules.0.route"),
        ("    route: auto", "    route: auto\nversion: 1", 12, "version"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line_and_key(old: str, new: str, line: int, key: str) -> None:
    assert old in GOOD
    with pytest.raises(BadPolicy) as found:
        parse(GOOD.replace(old, new, 1))
    assert (line, key) in [(one.line, one.key) for one in found.value.mistakes]


def test_every_mistake_is_named_at_once() -> None:
    broken = GOOD.replace("24h", "soon").replace("route: auto", "route: never")
    with pytest.raises(BadPolicy) as found:
        parse(broken)
    assert [(one.line, one.key) for one in found.value.mistakes] == [
        (2, "default.expires_in"),
        (11, "rules.0.route"),
    ]
    assert "line 11, rules.0.route: " in found.value.detail


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a",
        "just words",
        "version: 1\n---\nversion: 1",
        "version: [1",
        "version: 1\n\tdefault: 1",
        "version: !!python/object:os.system 1",
        "version: !secret 1",
        "version: 1\nrules: &a [*a]",
        "version: 1\ndefault: {expires_in: 2026-02-30}",
        "? [a, b]\n: 1",
        "version: 1\nrules: [{name: .nan}]",
        "version: 1\ntools: {t: {schema: {minimum: .inf}}}",
        "version: 1\ntools: {t: {schema: {minimum: 9007199254740993}}}",
        "\0",
    ],
)
def test_what_is_no_policy_at_all_is_a_mistake_and_no_crash(text: str) -> None:
    with pytest.raises(BadPolicy) as found:
        parse(text)
    assert isinstance(found.value, ErrataError)
    assert found.value.mistakes[0].line >= 1


def test_layout_and_comments_do_not_change_the_version() -> None:
    assert parse(GOOD).version == parse("# a comment\n" + GOOD.replace("24h", '"24h"')).version
    assert parse(GOOD).version != parse(GOOD.replace("24h", "23h")).version


@pytest.mark.parametrize(
    ("bounds", "warned"),
    [("{lt: 100}", True), ("{lte: 100}", True), ("{gte: 0, lt: 100}", False), ("{gt: 0}", False)],
)
def test_an_automatic_rule_without_a_lower_bound_is_warned_of(bounds: str, warned: bool) -> None:
    warnings = parse(GOOD.replace("{gte: 0, lt: 100}", bounds)).warnings
    assert [("args.amount" in one) for one in warnings] == [True] * warned
    assert (
        parse(GOOD.replace("{gte: 0, lt: 100}", bounds).replace(": auto", ": block")).warnings == []
    )
