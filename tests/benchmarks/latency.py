"""How long an agent waits after a labeler has submitted.

In: an installation of its own, started with `errata up`. Out: seconds from the submission in
Argilla to the agent's `wait` returning, with webhooks and by polling alone, and their ratio; all
from one run on one machine. Run by `make bench`.
"""

import asyncio
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import httpx2

from errata import AsyncClient
from tests.e2e.running import Installation

DECISIONS = 60
PAUSE_SECONDS = 0.8
"""Submissions come at random moments, so that none keeps step with the poll."""
PATIENCE_SECONDS = 60
PENDING = {
    "filters": {
        "and": [
            {
                "type": "terms",
                "scope": {"entity": "response", "property": "status"},
                "values": ["pending"],
            }
        ]
    }
}


class Waits(NamedTuple):
    """Seconds, one of each per decision."""

    since_sent: list[float]
    """From the moment in which the labeler's request was sent."""
    since_answered: list[float]
    """From Argilla's reply to it; below zero where the agent knew before the labeler."""


class Labeler:
    """A person signed in to Argilla."""

    def __init__(self, argilla: str, name: str, password: str) -> None:
        self._http = httpx2.AsyncClient(base_url=f"{argilla}/api/v1", timeout=30)
        self._log_in = {"username": name, "password": password}

    async def sign_in(self) -> None:
        answer = (await self._http.post("/token", data=self._log_in)).raise_for_status()
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    async def pending(self, ids: set[str]) -> dict[str, str]:
        """Record ids by proposal, once all of these wait for this person."""
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            found = {
                item["record"]["external_id"].rpartition(":")[0]: item["record"]["id"]
                for dataset in (await self._get("/me/datasets"))["items"]
                for item in await self._page(dataset["id"])
            }
            if ids <= found.keys():
                return found
            await asyncio.sleep(0.2)
        raise TimeoutError("the records did not come to Argilla")

    async def _page(self, dataset: str) -> list[Any]:
        path = f"/me/datasets/{dataset}/records/search?limit=500"
        return (await self._http.post(path, json=PENDING)).raise_for_status().json()["items"]

    async def _get(self, path: str) -> Any:
        return (await self._http.get(path)).raise_for_status().json()

    async def approve(self, record: str) -> tuple[float, float]:
        """Submit; when the request was sent, and when it was answered."""
        body = {"status": "submitted", "values": {"decision": {"value": "approve"}}}
        sent = time.monotonic()
        (await self._http.post(f"/records/{record}/responses", json=body)).raise_for_status()
        return sent, time.monotonic()

    async def close(self) -> None:
        await self._http.aclose()


async def measure(client: AsyncClient, labeler: Labeler, decisions: int) -> Waits:
    """Let that many agents wait, and approve what they ask at random moments."""
    tickets = [
        await client.propose(kind="draft", agent={"id": "bench"}, content=f"Answer {number}")
        for number in range(decisions)
    ]
    records = await labeler.pending({ticket.id for ticket in tickets})
    returned: dict[str, float] = {}

    async def wait(proposal_id: str) -> None:
        await client.wait(proposal_id, PATIENCE_SECONDS + decisions * PAUSE_SECONDS)
        returned[proposal_id] = time.monotonic()

    waiting = [asyncio.create_task(wait(ticket.id)) for ticket in tickets]
    await asyncio.sleep(1)
    moments: dict[str, tuple[float, float]] = {}
    for ticket in tickets:
        await asyncio.sleep(random.uniform(0, PAUSE_SECONDS))
        moments[ticket.id] = await labeler.approve(records[ticket.id])
    await asyncio.gather(*waiting)
    return Waits(
        [returned[known] - sent for known, (sent, _) in moments.items()],
        [returned[known] - answered for known, (_, answered) in moments.items()],
    )


async def silence(installation: Installation) -> None:
    """Switch Argilla's webhooks off: polling alone brings the answers from here on."""
    argilla = installation.credentials["argilla"]
    headers = {"X-Argilla-Api-Key": argilla["api_key"]}
    async with httpx2.AsyncClient(base_url=f"{argilla['url']}/api/v1", headers=headers) as http:
        for hook in (await http.get("/webhooks")).raise_for_status().json()["items"]:
            answer = await http.patch(f"/webhooks/{hook['id']}", json={"enabled": False})
            answer.raise_for_status()


async def compare(installation: Installation, decisions: int) -> tuple[Waits, Waits]:
    """With webhooks, then without, on the same installation."""
    password = installation.reviewer("bench")
    labeler = Labeler(installation.argilla, "bench", password)
    await labeler.sign_in()
    api = installation.credentials["api"]
    async with AsyncClient(api["url"], api["agent_key"]) as client:
        hooked = await measure(client, labeler, decisions)
        await silence(installation)
        polled = await measure(client, labeler, decisions)
    await labeler.close()
    return hooked, polled


def quantiles(seconds: list[float]) -> tuple[float, float]:
    """Median and 95th percentile, interpolated as NumPy does by default."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return cuts[49], cuts[94]


def table(hooked: Waits, polled: Waits) -> str:
    """The figures in milliseconds, and how many times longer polling takes."""
    lines = [
        f"{len(hooked.since_sent)} decisions each; milliseconds to the agent's wait() returning"
    ]
    for words, fast, slow in (
        ("from sending the answer", hooked.since_sent, polled.since_sent),
        ("from Argilla's reply", hooked.since_answered, polled.since_answered),
    ):
        lines.append(words)
        for name, one, other in zip(("p50", "p95"), quantiles(fast), quantiles(slow), strict=True):
            lines.append(
                f"  {name}: webhooks {1000 * one:6.0f}, polling {1000 * other:6.0f}, "
                f"ratio {other / one:.0f}"
            )
    return "\n".join(lines)


def main() -> None:
    """Start, measure, print, stop."""
    with tempfile.TemporaryDirectory() as folder:
        installation = Installation(Path(folder) / "home")
        try:
            installation.up()
            hooked, polled = asyncio.run(compare(installation, DECISIONS))
        finally:
            installation.stop()
    sys.stdout.write(table(hooked, polled) + "\n")


if __name__ == "__main__":
    main()
