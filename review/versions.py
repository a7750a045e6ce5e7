"""What a review amounts to: its verdict and the person's version, checked against the proposal.

In: a proposal and a review. Out: the outcome that this review asks for. Pure.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from errata import protocol
from errata.digest import body, version_body
from errata.errors import Malformed
from ingestion import decisions, edits, schemas

VERSION_FIELDS = ("action", "content", "point")


class NoSingleBest(Malformed):
    """Several candidates are best, or comparisons go round in a circle."""


class Vote(NamedTuple):
    """What one valid review asks for."""

    verdict: protocol.Verdict
    effective: protocol.Effective


def as_shown(proposal: protocol.Proposal, standing: protocol.Effective | None) -> protocol.Proposal:
    """The proposal as people are asked about it: with the person's version that stands.

    An edited candidate or exception is asked about as the draft or action that it has become.
    """
    if standing is None:
        return proposal
    changed: dict[str, Any] = {"content": standing.content}
    if standing.point is not None:
        changed = {"point": standing.point}
    elif standing.action is not None:
        changed = {"action": standing.action, "kind": "action"}
    elif proposal.kind == "candidates":
        changed["kind"] = "draft"
    if changed.get("kind", proposal.kind) != proposal.kind:
        changed |= {"candidates": None, "allowed": None}
    return proposal.model_copy(update=changed)


def weigh(
    proposal: protocol.Proposal, review: protocol.Review, edits_to: Sequence[str] = ()
) -> Vote:
    """Check a review against its proposal.

    Args:
        proposal: What was asked.
        review: What a person said.
        edits_to: Globs of other tools that a person's version of an action may use.

    Returns:
        The verdict, and what would count. An edit that equals the proposal is an approval.

    Raises:
        Malformed: The verdict is not allowed, or the version given does not go with it.
    """
    _check_names(proposal, review)
    if review.verdict not in proposal.verdicts:
        fits = ", ".join(proposal.verdicts)
        raise Malformed(f"{review.verdict!r} is not allowed here; choose {fits}", field="verdict")
    match review.verdict:
        case "approve":
            return _approve(proposal, review)
        case "edit":
            return _edit(proposal, review, edits_to)
        case "respond":
            answer = _answer(proposal, review)
            return Vote("respond", protocol.Effective(response=answer))
        case "reject" | "regenerate" | "takeover":
            return Vote(review.verdict, protocol.Effective())


def _approve(proposal: protocol.Proposal, review: protocol.Review) -> Vote:
    if proposal.kind == "candidates":
        _no_version(review)
        chosen = protocol.Effective(candidate=best(review))
        return Vote("approve", decisions.effective(proposal, chosen))
    version = _version(review)
    if version is not None and not is_as_proposed(proposal, version):
        raise Malformed(
            "you approve and change it at once; choose edit to send your version",
            field="verdict",
        )
    return Vote("approve", decisions.effective(proposal))


def is_as_proposed(proposal: protocol.Proposal, version: protocol.Effective) -> bool:
    """Whether a person's version is what the agent proposed, and nothing besides."""
    own = version.model_fields_set == {protocol.KIND_FIELD[proposal.kind]}
    return own and edits.equal(body(proposal), version_body(proposal, version))


def _no_version(review: protocol.Review) -> None:
    given = [field for field in VERSION_FIELDS if getattr(review, field) is not None]
    if given:
        raise Malformed("choose edit to send your own version", field=given[0])


def _version(review: protocol.Review) -> protocol.Effective | None:
    given: dict[str, Any] = {
        field: getattr(review, field)
        for field in VERSION_FIELDS
        if getattr(review, field) is not None
    }
    return protocol.Effective(**given) if given else None


def _edit(proposal: protocol.Proposal, review: protocol.Review, edits_to: Sequence[str]) -> Vote:
    version = _version(review)
    if version is None:
        raise Malformed("an edit needs your version", field="verdict")
    if proposal.kind == "candidates":
        return _edit_candidate(proposal, review, version)
    field = {"action": "action", "click": "point", "exception": "action"}.get(
        proposal.kind, "content"
    )
    if set(version.model_fields_set) != {field}:
        raise Malformed(f"an edit of a {proposal.kind} carries {field!r} alone", field=field)
    if proposal.action is not None and version.action is not None:
        _same_tool(proposal.action, version.action, edits_to)
    if edits.equal(body(proposal), version_body(proposal, version)):
        return Vote("approve", decisions.effective(proposal))
    return Vote("edit", version)


def _edit_candidate(
    proposal: protocol.Proposal, review: protocol.Review, version: protocol.Effective
) -> Vote:
    chosen: str | None = None
    if review.candidate is not None or review.ranking is not None or review.pairwise is not None:
        chosen = best(review)
    if version.model_fields_set not in ({"content"}, {"action"}):
        raise Malformed("an edit carries 'content' or 'action', one of them", field="verdict")
    if version.action is not None:
        _same_tools(proposal, chosen, version.action)
    return Vote("edit", version.model_copy(update={"candidate": chosen}))


def _same_tools(proposal: protocol.Proposal, chosen: str | None, after: protocol.Action) -> None:
    """The tool of the chosen candidate; where none was chosen, that of any."""
    offered = [c for c in proposal.candidates or () if chosen is None or c.id == chosen]
    names = {c.action.name for c in offered if c.action is not None}
    if after.name not in names:
        raise Malformed(f"no candidate uses the tool {after.name!r}", field="action")


def _same_tool(before: protocol.Action, after: protocol.Action, edits_to: Sequence[str]) -> None:
    if before.name != after.name and not any(fnmatchcase(after.name, one) for one in edits_to):
        raise Malformed(
            f"an edit keeps the tool {before.name!r}; reject to have another one", field="action"
        )


def _answer(proposal: protocol.Proposal, review: protocol.Review) -> Any:
    answer = review.response
    if answer is None or answer == "":
        raise Malformed("an answer is needed", field="response")
    ids = [option.id for option in proposal.options or ()]
    if ids and answer in ids:
        return answer
    if proposal.response_schema is not None:
        schemas.check(proposal.response_schema, answer, "response")
    elif ids:
        raise Malformed(f"choose one of {', '.join(ids)}", field="response")
    return answer


def best(review: protocol.Review) -> str:
    """The one best candidate that a review names.

    Raises:
        NoSingleBest: Several are best, or comparisons go round in a circle.
        Malformed: None is named, or choice and ranking contradict each other.
    """
    named: list[str] = []
    if review.candidate is not None:
        named.append(review.candidate)
    if review.ranking is not None:
        if not review.ranking or len(review.ranking[0]) != 1:
            raise NoSingleBest("the best place must hold exactly one candidate", field="ranking")
        named.append(review.ranking[0][0])
    if review.pairwise is not None:
        named.append(_undefeated(review.pairwise))
    if not named:
        raise Malformed("say which candidate: candidate, ranking or pairwise", field="candidate")
    if len(set(named)) > 1:
        raise Malformed("your choice and your ranking name different ones", field="candidate")
    return named[0]


def _check_names(proposal: protocol.Proposal, review: protocol.Review) -> None:
    known = {candidate.id for candidate in proposal.candidates or ()}
    ranked = [one for tier in review.ranking or () for one in tier]
    compared = [one for pair in review.pairwise or () for one in (pair.a, pair.b)]
    for field, names in (
        ("candidate", [review.candidate] if review.candidate is not None else []),
        ("ranking", ranked),
        ("pairwise", compared),
    ):
        unknown = set(names) - known
        if unknown:
            raise Malformed(f"no candidate {sorted(unknown)[0]!r}", field=field)
    if len(set(ranked)) != len(ranked):
        raise Malformed("a candidate stands in two places", field="ranking")


def _undefeated(pairwise: tuple[protocol.Judgement, ...]) -> str:
    """The candidate that won and never lost or tied, if it is the only one."""
    won: set[str] = set()
    failed: set[str] = set()
    for pair in pairwise:
        match pair.winner:
            case "a":
                won.add(pair.a)
                failed.add(pair.b)
            case "b":
                won.add(pair.b)
                failed.add(pair.a)
            case "tie":
                failed |= {pair.a, pair.b}
    leaders = won - failed
    if len(leaders) != 1:
        raise NoSingleBest("the comparisons name no single best candidate", field="pairwise")
    return leaders.pop()
