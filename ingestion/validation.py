"""Checking a file of protocol values: their form, and the digests that can be computed anew.

In: bytes of JSON or JSON lines; each value alone, or several side by side in one object (a ticket,
a line of `errata import reviews`). Out: every mistake by line and field.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar

from errata import protocol
from errata.digest import NO_POLICY
from errata.errors import Malformed
from ingestion import bodies, decisions
from ingestion.policies import InForce
from ingestion.policy import Policy

V = TypeVar("V", bound=protocol.Value)

MODELS = {model.__name__.lower(): model for model in protocol.VALUES}
SIGNS = {
    "permit_id": "receipt",
    "fence": "permit",
    "outcome": "decision",
    "verdict": "review",
    "hap": "proposal",
    "kind": "proposal",
}
"""A field that only values of one kind have, in the order in which they are looked for."""
BESIDE = {"proposal": "proposal", "decision": "decision", "permit": "permit"}
LISTED = {"reviews": "review", "receipts": "receipt"}
"""Where values stand beside each other in one object."""
AUTHOR = frozenset({"reviewer", "reviewer_role"})
"""What a line of an import states beside a review's own fields."""


class Mistake(NamedTuple):
    """One mistake in a file of values."""

    line: int
    field: str
    reason: str


class Checked(NamedTuple):
    """What a file holds."""

    values: dict[str, int]
    """How many of each kind are valid."""
    digests: int
    """How many digests are those of the proposal in the file."""
    unchecked: list[int]
    """Lines with a digest that nothing in the file can confirm."""
    mistakes: list[Mistake]


class _Stated(NamedTuple):
    """A valid value and where it stands."""

    line: int
    place: str
    group: int
    """Values of one object have one number."""
    value: Any


class _Beside:
    """Values by what they are about: the same object, or the same proposal's id."""

    def __init__(self, stated: list[_Stated]) -> None:
        self._known: dict[tuple[type, int | str | None], Any] = {}
        for one in stated:
            self._known.setdefault((type(one.value), one.group), one.value)
            self._known.setdefault((type(one.value), _about(one.value)), one.value)

    def find(self, model: type[V], one: _Stated) -> V | None:
        """The value of another kind that stands beside one."""
        found = self._known.get((model, one.group))
        return found if found is not None else self._known.get((model, _about(one.value)))


def _about(value: Any) -> str | None:
    return value.id if isinstance(value, protocol.Proposal) else getattr(value, "proposal_id", None)


def validate(raw: bytes, kind: str | None = None, policy: Policy | None = None) -> Checked:
    """Check a file.

    Args:
        raw: The file.
        kind: What every value is; by default each is known by its fields.
        policy: The policy whose tool schemas the digests hold, where its schemas matter.
    """
    counts: Counter[str] = Counter()
    mistakes: list[Mistake] = []
    stated: list[_Stated] = []
    for group, (line, given) in enumerate(_values(raw)):
        if isinstance(given, Malformed):
            mistakes.append(Mistake(line, given.field or "body", given.detail))
            continue
        for place, name, part in _parts(given, kind):
            try:
                stated.append(_Stated(line, place, group, _value(name, part)))
            except Malformed as wrong:
                field = ".".join(filter(None, [place, wrong.field]))
                mistakes.append(Mistake(line, field, wrong.detail))
            else:
                counts[name] += 1
    found = _digests(stated, policy)
    return Checked(
        values=dict(sorted(counts.items())),
        digests=found.right,
        unchecked=found.unchecked,
        mistakes=sorted(mistakes + found.wrong),
    )


def _values(raw: bytes) -> Iterator[tuple[int, Any]]:
    """Each value with its line, or what is wrong with the line."""
    try:
        whole = bodies.load(raw)
    except Malformed as broken:
        lines = raw.splitlines()
        if len([line for line in lines if line.strip()]) < 2:
            yield 1, broken
            return
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield number, _loaded(line)
    else:
        yield from ((1, one) for one in (whole if isinstance(whole, list) else [whole]))


def _loaded(line: bytes) -> Any:
    try:
        return bodies.load(line)
    except Malformed as broken:
        return broken


def _parts(stated: Any, kind: str | None) -> Iterator[tuple[str, str, Any]]:
    """The values in one object: place, kind and content."""
    if kind is not None:
        yield "", kind, stated
        return
    if not isinstance(stated, dict) or not isinstance(stated.get("proposal"), dict):
        sign = next((sign for sign in SIGNS if isinstance(stated, dict) and sign in stated), None)
        yield "", SIGNS[sign] if sign is not None else "", stated
        return
    if "status" in stated:
        yield "", "ticket", stated
    for key, name in BESIDE.items():
        if stated.get(key) is not None:
            yield key, name, stated[key]
    for key, name in LISTED.items():
        listed = stated.get(key)
        for index, one in enumerate(listed if isinstance(listed, list | tuple) else ()):
            yield f"{key}[{index}]", name, one if name == "receipt" else _review(one, stated)


def _review(stated: Any, beside: dict[str, Any]) -> Any:
    """A review without its author, and with what it takes from the proposal beside it."""
    if not isinstance(stated, dict):
        return stated
    if isinstance(stated.get("review"), dict):  # as tickets show it
        return stated["review"]
    taken = {"proposal_id": beside["proposal"].get("id", "unnamed"), "digest": NO_POLICY}
    return {**taken, **{key: value for key, value in stated.items() if key not in AUTHOR}}


def _value(name: str, part: Any) -> protocol.Value:
    if name not in MODELS:
        known = ", ".join(MODELS)
        raise Malformed(f"no value is known by these fields; it is none of {known}", field="value")
    try:
        protocol.check_json(part)
    except ValueError as error:
        raise Malformed(str(error), field=str(error).partition(":")[0]) from error
    return bodies.validate(part, MODELS[name])


class _Digests(NamedTuple):
    right: int
    unchecked: list[int]
    wrong: list[Mistake]


def _digests(stated: list[_Stated], policy: Policy | None) -> _Digests:
    beside = _Beside(stated)
    right, unchecked, wrong = 0, list[int](), list[Mistake]()
    for one in stated:
        if not isinstance(one.value, protocol.Decision | protocol.Permit):
            continue
        allowed = _allowed(one, beside, policy)
        if not allowed:
            unchecked.append(one.line)
        elif one.value.digest in allowed:
            right += 1
        else:
            field = ".".join(filter(None, [one.place, "digest"]))
            reason = "this is not the digest of what stands in the file"
            if isinstance(one.value, protocol.Decision) and policy is None:
                reason += "; if the policy has a schema for the tool, give --policy"
            wrong.append(Mistake(one.line, field, reason))
    return _Digests(right, unchecked, wrong)


def _allowed(one: _Stated, beside: _Beside, policy: Policy | None) -> set[str]:
    """The digests that a decision or permit may have; none where nothing can tell."""
    value = one.value
    proposal = beside.find(protocol.Proposal, one)
    decision = beside.find(protocol.Decision, one)
    if proposal is None or decision is None:
        return set()
    permit = beside.find(protocol.Permit, one)
    runs = decision.outcome in {"approve", "edit"} and proposal.kind in decisions.RUNS
    if not runs and decision.by == "people":
        return set()  # people may have been asked about a version that stands nowhere here
    version = decision.effective if runs else protocol.Effective()
    schemas = [permit.tool_schema] if permit else _schemas(proposal, version, policy)
    return {
        decisions.version_digest(proposal, version, schema, value.policy_version)
        for schema in schemas
    }


def _schemas(
    proposal: protocol.Proposal, version: protocol.Effective, policy: Policy | None
) -> list[str | None]:
    """What S of the digest can be."""
    if policy is not None:
        return [decisions.tool_schema(InForce(policy, ""), proposal, version.action)]
    stated = decisions.tool_schema(None, proposal, version.action)
    return [stated, None]
