"""The MCP server behind a gateway: started or connected to, listed, called.

In: a command or an address. Out: its tools as they are now; results as it gave them. Everything
that it says is somebody else's text.
"""

import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx2
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp_types import (
    CONNECTION_CLOSED,
    REQUEST_TIMEOUT,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    PaginatedRequestParams,
    Tool,
)

from errata import errors
from errata.agents import versions

versions.require("mcp")

ANSWER_S = 60.0
"""Seconds for an answer to anything but a call; package runners download a server at its start."""
CALL_S = 86_400.0
"""Seconds for a call: how long a tool may take is its own affair."""
PAGES = 100
"""Pages of a listing that are read; a server that never ends would hang every call."""
LOST = frozenset({CONNECTION_CLOSED, REQUEST_TIMEOUT})
OWN = "ERRATA_"
"""How the variables begin that are ours: the server behind is not handed our key."""


class Upstream:
    """An MCP server that a gateway stands before.

    Args:
        client: Entered.
    """

    def __init__(self, client: Client) -> None:
        self._session = client.session
        self.instructions = client.instructions

    async def tools(self) -> dict[str, Tool]:
        """The tools as the server offers them now; of two with one name the first.

        Raises:
            Unavailable: It does not answer any more; nothing was called.
        """
        found: dict[str, Tool] = {}
        cursor: str | None = None
        for _ in range(PAGES):
            page = PaginatedRequestParams(cursor=cursor) if cursor else None
            try:
                listed = await self._session.list_tools(params=page)
            except Exception as error:
                raise errors.Unavailable(
                    f"the MCP server behind the gateway does not answer ({said(error)}); "
                    "start the gateway again"
                ) from error
            for tool in listed.tools:
                found.setdefault(tool.name, tool)
            cursor = listed.next_cursor
            if cursor is None:
                break
        return found

    async def call(self, name: str, arguments: dict[str, Any]) -> CallToolResult:
        """Call a tool. What it returns is not checked against its output schema: it has run.

        Raises:
            MCPError: The server says that it did not work.
            OutcomeUnknown: The server was lost, or what it said cannot be read.
        """
        params = CallToolRequestParams(name=name, arguments=arguments)
        try:
            return await self._session.send_request(
                CallToolRequest(params=params), CallToolResult, CALL_S
            )
        except Exception as error:
            if isinstance(error, MCPError) and error.code not in LOST:
                raise
            raise errors.OutcomeUnknown(
                f"the MCP server was lost while {name!r} ran ({said(error)})"
            ) from error


def said(error: BaseException) -> str:
    """An error in one line; of a group the first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


@asynccontextmanager
async def opened(
    command: Sequence[str] = (),
    url: str | None = None,
    token: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> AsyncGenerator[Upstream]:
    """A server that is started and ended with the block, or connected to.

    Args:
        command: The program and its arguments, for a server on stdin and stdout.
        url: Else where it answers.
        token: For the server at the URL, as a bearer token.
        environment: The command gets it without what is ours.

    Raises:
        Unavailable: It does not start, or does not speak MCP.
    """
    async with AsyncExitStack() as stack:
        if url is not None:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            timeout = httpx2.Timeout(30, read=300)
            http = await stack.enter_async_context(
                httpx2.AsyncClient(headers=headers, timeout=timeout)
            )
            server = streamable_http_client(url, http_client=http)
        else:
            passed = {n: value for n, value in environment.items() if not n.startswith(OWN)}
            server = StdioServerParameters(command=command[0], args=list(command[1:]), env=passed)
        try:
            client = Client(server, read_timeout_seconds=ANSWER_S)
            await stack.enter_async_context(client)
        except Exception as error:
            what = (
                "at its URL does not answer" if url is not None else f"{command[0]!r} did not start"
            )
            raise errors.Unavailable(
                f"the MCP server {what} ({said(error)}); try it without the gateway"
            ) from error
        yield Upstream(client)
