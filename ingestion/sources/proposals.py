"""Read proposals, one per line.

In: one line. Out: a `Proposal` as it would be posted, with an id.
"""

from errata import protocol
from errata.digest import fingerprint
from errata.errors import TooLarge
from ingestion import bodies
from ingestion.sources.lines import Line


def parse(line: Line) -> protocol.Proposal:
    """Read one line; without id the proposal gets the hash of the canonical line.

    The id is what makes a file that is imported twice change nothing.

    Raises:
        Malformed: What is wrong, with its field.
        TooLarge: The line is longer than a proposal may be over HTTP.
    """
    if line.size > bodies.LARGEST:
        raise TooLarge(f"the line has {line.size:,} bytes, at most {bodies.LARGEST:,} are taken")
    proposal = bodies.validate(line.value, protocol.Proposal)
    if proposal.id is not None:
        return proposal
    return proposal.model_copy(update={"id": fingerprint(line.value).removeprefix("sha256:")})
