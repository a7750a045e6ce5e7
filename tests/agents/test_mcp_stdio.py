"""`errata mcp` as hosts run it: another process, its stdin and stdout; and the how-to's snippets."""

import asyncio
import difflib
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import mcp
import pytest

import errata.cli
from errata.agents import versions
from errata.agents.mcp_results import AWAIT
from errata.agents.mcp_upstream import opened
from ingestion.policy_file import parse
from tests.agents.effects import World
from tests.agents.office import LAX, Office
from tests.agents.rig_mcp import bank
from tests.waiting import PROCESS_S, serving

ERRATA = Path(sys.executable).with_name("errata")
HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "mcp.md"
Mode = Literal["auto", "legacy"]
both = pytest.mark.parametrize("mode", ["auto", "legacy"])
PAY = {"to": "bob", "amount": 10.0}


def command(world: World) -> list[str]:
    """The bank as a program."""
    return [sys.executable, "-m", "tests.agents.rig_mcp", json.dumps(world)]


@asynccontextmanager
async def host(
    world: World, *arguments: str, mode: Mode = "auto", **more: str
) -> AsyncGenerator[mcp.Client]:
    """A host that has started `errata mcp …`."""
    environment = {**os.environ, "ERRATA_URL": world.url, "ERRATA_KEY": world.key, **more}
    started = mcp.StdioServerParameters(
        command=str(ERRATA), args=["mcp", *arguments], env=environment
    )
    async with mcp.Client(started, mode=mode) as client:
        yield client


def text(result: Any) -> str:
    return "\n".join(one.text for one in result.content)


@both
def test_a_host_starts_the_gateway_and_the_gateway_the_server(
    world: World, office: Office, mode: Mode
) -> None:
    async def scene() -> None:
        arguments = ("gateway", "--name", "bank", "--agent", "cfo", "--", *command(world))
        async with host(world, *arguments, mode=mode) as client:
            listed = (await client.list_tools()).tools
            assert [one.name for one in listed] == ["transfer", "look_up", AWAIT]
            found = await client.call_tool("look_up", {"name": "bob"})
            assert text(found) == "bob has account 7"
            asked: Any = await client.call_tool("transfer", PAY)
            id_ = asked.structured_content["errata"]["id"]
            proposal = office.ticket(id_)["proposal"]
            assert proposal["agent"]["id"] == "cfo"
            assert proposal["metadata"]["mcp"]["server"] == "bank"
            office.say(id_, "approve")
            assert text(await client.call_tool(AWAIT, {"id": id_})) == "sent 10.0 to bob"

    asyncio.run(scene())
    assert world.sent == [("bob", 10.0)]


@both
def test_a_host_starts_the_server(world: World, office: Office, mode: Mode) -> None:
    async def scene() -> None:
        async with host(world, "serve", "--agent", "cfo", mode=mode) as client:
            asked = await client.call_tool("ask_human", {"question": "Go?", "options": ["yes"]})
            id_ = json.loads(text(asked))["id"]
            office.say(id_, "respond", response="yes")
            answer = await client.call_tool("await_decision", {"id": id_})
            assert json.loads(text(answer))["counts"] == {"response": "yes"}

    asyncio.run(scene())


def test_a_gateway_stands_before_a_server_at_a_url_too(world: World, office: Office) -> None:
    office.apply(LAX)
    app = bank(world).streamable_http_app()

    async def scene(url: str) -> None:
        async with host(
            world, "gateway", "--url", f"{url}/mcp", "--token-from", "BANK", BANK="s3cret"
        ) as client:
            assert text(await client.call_tool("transfer", PAY)) == "sent 10.0 to bob"

    with serving(app) as url:
        asyncio.run(scene(url))


def test_the_server_behind_is_not_handed_our_key() -> None:
    told = {"ERRATA_KEY": "ours", "ERRATA_URL": "ours", "BANK_KEY": "its own", **os.environ}
    script = (
        "import json, os, sys; from mcp.server.mcpserver import MCPServer; s = MCPServer('x'); "
        "s.add_tool(lambda: sorted(os.environ), name='env'); s.run('stdio')"
    )

    async def scene() -> str:
        async with opened([sys.executable, "-c", script], environment=told) as upstream:
            return text(await upstream.call("env", {}))

    names = asyncio.run(scene())
    assert "BANK_KEY" in names
    assert "ERRATA_" not in names


def failing(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [ERRATA, "mcp", *arguments],
        env={**os.environ, "ERRATA_KEY": "errata_secret", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PROCESS_S,
        check=False,
    )
    assert done.returncode in {1, 2}
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "errata_secret" not in done.stderr
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", done.stderr).split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gateway", "--", "no-such-program"], "'no-such-program' did not start"),
        (["gateway", "--", "true"], "'true' did not start"),
        (["gateway", "--url", "http://127.0.0.1:9/mcp"], "at its URL does not answer"),
        (["gateway"], "give either the server's command, after --, or --url"),
        (["gateway", "--url", "http://x", "--token-from", "NONE"], "NONE is not set"),
    ],
)
def test_what_cannot_start_says_what_to_do(arguments: list[str], said: str) -> None:
    assert said in failing(*arguments)


def test_without_a_key_it_says_how_to_give_one() -> None:
    for arguments in (["serve"], ["gateway", "--", "true"]):
        assert "set ERRATA_KEY" in failing(*arguments, ERRATA_KEY="")


def test_without_the_extra_it_says_which_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(versions.TESTED, "mcp", versions.Range("98", "99", "mcp"))
    monkeypatch.setattr(sys, "argv", ["errata", "mcp", "serve"])
    with pytest.raises(SystemExit):
        errata.cli.main()
    assert "install errata[mcp]" in capsys.readouterr().err


def blocks(language: str) -> list[str]:
    """The how-to's blocks in a language."""
    fenced = re.findall(
        r"^```(\w*)\n(.*?)^```$", HOWTO.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    return [block for stated, block in fenced if stated == language]


def test_the_how_to_counts_the_lines_that_change() -> None:
    before, after = (one.splitlines() for one in blocks("json")[:2])
    changed = [one for one in difflib.ndiff(before, after) if one.startswith("+ ")]
    assert f"{len(changed)} lines change" in HOWTO.read_text("utf-8")


@pytest.mark.parametrize(("block", "name"), [(1, "bank"), (2, "people")])
def test_the_how_tos_configurations_start(
    world: World, office: Office, block: int, name: str
) -> None:
    stated = json.loads(blocks("json")[block])["mcpServers"][name]
    arguments: list[str] = stated["args"]
    if name == "bank":
        assert arguments[-2:] == ["bank-server", "--live"]
        arguments = [*arguments[:-2], *command(world)]
    environment = {**os.environ, **stated["env"], "ERRATA_URL": world.url, "ERRATA_KEY": world.key}
    assert stated["command"] == ERRATA.name
    started = mcp.StdioServerParameters(command=str(ERRATA), args=arguments, env=environment)
    pay: dict[str, Any] = {}
    exec(blocks("python")[0], pay)

    async def scene() -> list[str]:
        async with mcp.Client(started) as client:
            if name != "bank":
                return [one.name for one in (await client.list_tools()).tools]
            return [text(await pay["pay"](client, id_)) for id_ in ("c1", "c1")]

    told = asyncio.run(scene())
    if name == "bank":
        assert told[0] == told[1]
        assert office.count() == 1
    else:
        assert all(f"`{tool}`" in HOWTO.read_text("utf-8") for tool in told)


def test_the_how_tos_commands_and_policy_are_ones() -> None:
    given = [line for block in blocks("") for line in block.splitlines()]
    assert len(given) == 2
    for line in given:
        program, *words = line.split()
        path = words[: next(n for n, word in enumerate(words) if word.startswith("-"))]
        options = {word for word in words if word.startswith("--")}
        shown = subprocess.run(
            [ERRATA.with_name(program), *path, "--help"],
            env={**os.environ, "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert options <= set(re.findall(r"--[a-z-]+", shown))
    assert parse(blocks("yaml")[0]).policy.rules[0].route == "auto"
