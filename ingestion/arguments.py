"""The arguments of tool calls against the tool's schema.

In: a proposal, a person's version of its action. Out: nothing, or the first field that does not fit.
"""

from errata import protocol
from errata.digest import stated_schema
from ingestion import schemas
from ingestion.policies import InForce


def check_all(in_force: InForce, proposal: protocol.Proposal) -> None:
    """Validate the arguments of all that a proposal may run.

    Raises:
        Malformed: Some do not fit; the field is named.
    """
    if proposal.action is not None:
        check(in_force, proposal, proposal.action, "action")
    for index, candidate in enumerate(proposal.candidates or ()):
        if candidate.action is not None:
            check(in_force, proposal, candidate.action, f"candidates[{index}].action")


def check(
    in_force: InForce, proposal: protocol.Proposal, action: protocol.Action, field: str
) -> None:
    """Validate arguments against the tool's schema, the policy's before the proposal's.

    Raises:
        Malformed: They do not fit; the field is named.
    """
    schema = in_force.policy.tool(action.name).parameters
    schema = schema if schema is not None else stated_schema(proposal, action.name)
    if schema is not None:
        schemas.check(schema, action.arguments, f"{field}.arguments")
