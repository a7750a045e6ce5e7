"""The policy's YAML file, read so that every mistake is named by line and key.

In: the text of a policy file. Out: the policy with its version, or the mistakes.
"""

from typing import Any, NamedTuple

import yaml
from pydantic import ValidationError

from errata.digest import fingerprint
from errata.errors import Malformed
from ingestion import warnings
from ingestion.policy import Policy

STARTING_POLICY = """\
# The policy: what agents may do at once, what waits for a person, what nobody can approve.
# Editing this file changes nothing until `errata policy apply policy.yaml`.
version: 1
default: {route: queue, quorum: 1, expires_in: 24h, on_timeout: reject}

# red_lines:                  # no one can approve these
#   - {action: "drop_*"}
# tools:                      # arguments and edits are validated against the schema
#   refund:
#     schema: {type: object, properties: {amount: {type: number, minimum: 0}}, required: [amount]}
#     reversible: false
# rules:                      # first match wins
#   - name: small refunds
#     when: {action: refund, args.amount: {gte: 0, lt: 20}}
#     route: auto
"""


class Mistake(NamedTuple):
    """One mistake in a policy file."""

    line: int
    key: str
    message: str

    def __str__(self) -> str:
        return f"line {self.line}, {self.key}: {self.message}"


class BadPolicy(Malformed):
    """The policy file has mistakes."""

    code = "bad_policy"

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__("\n".join(map(str, mistakes)), field=mistakes[0].key)
        self.mistakes = mistakes


class Versioned(NamedTuple):
    """A policy and the fingerprint of its parsed file."""

    policy: Policy
    version: str
    warnings: list[str]


def parse(text: str) -> Versioned:
    """Read a policy file.

    Raises:
        BadPolicy: Not YAML, a key twice, an unknown key, a value of the wrong form; each mistake
            with its line.
    """
    root = _compose(text)
    mistakes: list[Mistake] = []
    try:
        _find_repeated(root, (), mistakes)
    except RecursionError as error:
        raise BadPolicy([Mistake(1, "policy", "a part of it contains itself")]) from error
    if mistakes:
        raise BadPolicy(mistakes)
    data = _construct(text)
    try:
        policy = Policy.model_validate(data)
        version = fingerprint(data)
    except ValidationError as error:
        raise BadPolicy([_locate(root, one) for one in error.errors()]) from error
    except ValueError as error:
        raise BadPolicy([Mistake(1, "policy", str(error))]) from error
    return Versioned(policy, version, warnings.of(policy))


def _compose(text: str) -> yaml.Node:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise _not_yaml(error) from error
    if not isinstance(root, yaml.MappingNode):
        raise BadPolicy([Mistake(1, "policy", "the file must be a mapping with `version: 1`")])
    return root


def _construct(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: 2026-02-30 is no date
        raise _not_yaml(error) from error


def _not_yaml(error: Exception) -> BadPolicy:
    if isinstance(error, yaml.MarkedYAMLError):
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        return BadPolicy([Mistake(line, "policy", f"not YAML: {error.problem or 'unreadable'}")])
    return BadPolicy([Mistake(1, "policy", f"not YAML: {error}")])


def _find_repeated(node: yaml.Node, path: tuple[str, ...], mistakes: list[Mistake]) -> None:
    """YAML readers let the last of two equal keys win; a reader of the file would not see that."""
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _find_repeated(item, (*path, str(index)), mistakes)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                where = ".".join((*path, name))
                mistakes.append(Mistake(key.start_mark.line + 1, where, "this key stands twice"))
            seen.add(name)
            _find_repeated(value, (*path, name), mistakes)


def _locate(root: yaml.Node, error: Any) -> Mistake:
    """The line of a validation error: of the deepest part of its path that the file has."""
    node, line = root, root.start_mark.line + 1
    key: list[str] = []
    for step in error["loc"]:
        if step == "[key]":  # pydantic's word for: the key itself is wrong
            break
        child = _child(node, step)
        key.append(str(step))
        if child is None:
            break
        node, line = child
    message = str(error["msg"]).removeprefix("Value error, ")
    return Mistake(line, ".".join(key) or "policy", message)


def _child(node: yaml.Node, step: str | int) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        item = node.value[step]
        return item, item.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if str(key.value) == str(step):
                return value, key.start_mark.line + 1
    return None
