"""Receipts that are sent while the agent goes on arrive, however its process ends in peace."""

import subprocess
import sys

import pytest

from tests.agents.effects import World
from tests.agents.office import LAX, Office
from tests.waiting import PROCESS_S

THREADS = """
from errata import Client
from errata.agents.functions import gated

client = Client()

@gated(client, "cfo", thread="t")
def look_up(name: str) -> str:
    return name

for name in ("bob", "eve", "kim"):
    look_up(name)
"""
LOOP = """
import asyncio
from errata import AsyncClient
from errata.agents.functions import gated

async def main():
    client = AsyncClient()

    @gated(client, "cfo", thread="t")
    async def look_up(name: str) -> str:
        return name

    for name in ("bob", "eve", "kim"):
        await look_up(name)

asyncio.run(main())
"""


@pytest.mark.parametrize("code", [THREADS, LOOP])
def test_a_process_that_closes_nothing_has_reported_all(
    code: str, world: World, office: Office
) -> None:
    office.apply(LAX)
    env = {"ERRATA_URL": world.url, "ERRATA_KEY": world.key, "PYTHONPATH": "."}
    subprocess.run([sys.executable, "-c", code], env=env, check=True, timeout=PROCESS_S)
    tickets = [office.ticket(one) for one in office.ids()]
    assert [one["status"] for one in tickets] == ["executed"] * 3
    assert [one["receipt"]["result"] for one in tickets] == ["bob", "eve", "kim"]
