"""Which calls of an MCP client are the same.

In: requests, tools as they are listed now, proposals made before. Out: calls for a desk.

MCP has no conversations. A client that can says in a request's `_meta`: `errata/thread` (the
conversation), `errata/turn` (what the user said last in it) and `errata/call` (an id of the call: made
again with it, the call is the same, as long as the tool is). Without an id, one tool with the same
arguments on one connection is one call, until it has run as it was asked for and that was answered;
made again after that, it is another wish.
"""

from typing import Any
from uuid import uuid4

from mcp_types import CallToolRequestParams, Tool

from errata import errors
from errata.agents.desk import RECORD, Called
from errata.digest import fingerprint
from errata.protocol import Evidence, Proposal

THREAD, TURN, CALL = "errata/thread", "errata/turn", "errata/call"
"""Keys of a request's `_meta`."""
MCP = "mcp"
"""The key of a proposal's metadata that says through which gateway it came; policies may look."""
KEYED = "key"


class Calls:
    """The calls of one connection.

    Args:
        server: What policies and people know the server by that has the tools.
    """

    def __init__(self, server: str) -> None:
        self._server = server
        self._connection = f"connection-{uuid4().hex}"
        self._numbers: dict[str, int] = {}
        """How often a call without an id has been another wish; absent: once."""

    def read(self, params: CallToolRequestParams) -> Called:
        """The call of a request."""
        meta: dict[str, Any] = dict(params.meta or {})
        thread, turn = str(meta.get(THREAD, self._connection)), str(meta.get(TURN, ""))
        name, arguments = params.name, params.arguments or {}
        if CALL in meta:
            return Called(name, arguments, f"{KEYED}:{meta[CALL]}", thread, turn)
        number = self._numbers.get(_same(thread, turn, name, arguments), 1)
        return Called(name, arguments, f"{number}:{turn}", thread)

    def again(self, proposal: Proposal) -> Called:
        """The call that a proposal was made for."""
        assert proposal.action is not None
        made, turn = proposal.metadata[RECORD], proposal.metadata[MCP]["turn"]
        name, arguments = proposal.action.name, proposal.action.arguments
        return Called(name, arguments, made["call"], made["thread"], turn)

    def stated(self, called: Called, tool: Tool) -> Called:
        """A call with what its server says of the tool; with another schema it is another question."""
        return called._replace(
            schema=tool.input_schema,
            description=tool.description,
            fields={
                "metadata": {MCP: {"server": self._server, "turn": called.turn}},
                "evidence": _said(tool),
            },
        )

    def owns(self, proposal: Proposal) -> bool:
        """Whether a proposal is a call of this server's tools."""
        stated = proposal.metadata.get(MCP, {})
        return proposal.action is not None and stated.get("server") == self._server

    def end(self, called: Called) -> None:
        """Take the same call, where it has no id, for another wish from now on."""
        number, _, turn = called.id.partition(":")
        if number != KEYED:
            same = _same(called.thread, turn, called.name, called.arguments)
            self._numbers[same] = max(int(number) + 1, self._numbers.get(same, 1))

    def anew(self, called: Called) -> Called:
        """A call as another wish.

        Raises:
            Malformed: It has an id of the client's.
        """
        number, _, turn = called.id.partition(":")
        if number == KEYED:
            raise errors.Malformed(f"make the call again with another {CALL}")
        self.end(called)
        same = _same(called.thread, turn, called.name, called.arguments)
        return called._replace(id=f"{self._numbers[same]}:{turn}")


def _same(thread: str, turn: str, name: str, arguments: dict[str, Any]) -> str:
    try:
        return fingerprint([thread, turn, name, arguments])
    except ValueError:  # the desk says why it cannot be asked for
        return ""


def _said(tool: Tool) -> tuple[Evidence, ...]:
    """What the server says of a tool's effects: shown as its word, for no rule to look at.

    A risk made of it could loosen: rules about a higher level would no longer apply.
    """
    if tool.annotations is None:
        return ()
    hints = tool.annotations.model_dump(by_alias=True, exclude_none=True, exclude={"title"})
    if not hints:
        return ()
    said = ", ".join(f"{name}: {str(value).lower()}" for name, value in hints.items())
    text = f"The MCP server says of this tool: {said}."
    return (Evidence(text=text, origin="tool", trusted=False),)
