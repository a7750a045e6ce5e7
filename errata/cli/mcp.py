"""`errata mcp …`: MCP servers, on stdin and stdout of a host.

In: the command line; ERRATA_URL and ERRATA_KEY. Out: a server that ends when the host closes it.
"""

import asyncio
import os
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Let MCP hosts ask people, or wait for them.")

PATIENCE_S = 20.0
"""Seconds for which the API is tried: hosts give a tool a minute or so."""
AgentOption = Annotated[str, typer.Option(help="Who asks, as policies and figures name it.")]


@app.callback()
def mcp() -> None:
    """Let MCP hosts ask people, or wait for them."""


@app.command()
def serve(agent: AgentOption = "mcp") -> None:
    """Offer tools with which an agent asks people for approval, or a question.

    ERRATA_URL and ERRATA_KEY (an agent's) say where and as whom. Nothing that the host does by
    itself is held back; `errata mcp gateway` does that.

    Example: ERRATA_KEY=errata_… errata mcp serve --agent desk
    """
    _require()
    from errata.agents.mcp_server import server
    from errata.async_client import AsyncClient

    async def run() -> None:
        async with AsyncClient(patience=PATIENCE_S) as client:
            await server(client, agent).run_stdio_async()

    asyncio.run(run())


@app.command()
def gateway(
    command: Annotated[
        list[str] | None, typer.Argument(help="The MCP server's program and its arguments.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Or where the MCP server answers.")] = None,
    token_from: Annotated[
        str | None,
        typer.Option(
            metavar="VARIABLE", help="With --url: the variable that holds its bearer token."
        ),
    ] = None,
    name: Annotated[
        str, typer.Option(help="What policies and people know that server by.")
    ] = "mcp",
    agent: AgentOption = "mcp",
) -> None:
    """Offer the tools of another MCP server; each call runs as the policy and people allow.

    ERRATA_URL and ERRATA_KEY (an agent's) say where and as whom; the other server is not given them.

    Example: ERRATA_KEY=errata_… errata mcp gateway --name bank -- bank-server --live
    """
    if bool(command) == (url is not None):
        raise typer.BadParameter("give either the server's command, after --, or --url")
    if token_from is not None and token_from not in os.environ:
        raise typer.BadParameter(f"the variable {token_from} is not set", param_hint="--token-from")
    _require()
    from errata.agents.mcp_gateway import Gateway
    from errata.agents.mcp_upstream import opened
    from errata.async_client import AsyncClient

    token = os.environ[token_from] if token_from else None

    async def run() -> None:
        async with (
            AsyncClient(patience=PATIENCE_S) as client,
            opened(command or (), url, token) as upstream,
        ):
            await Gateway(upstream, client, agent, name).serve()

    asyncio.run(run())


def _require() -> None:
    """Say what is missing before an import does."""
    from errata.agents import versions

    versions.require("mcp")
