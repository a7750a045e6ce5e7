"""Receipts of a moment travel together, and none is lost when a loop or a client ends."""

import asyncio
from datetime import UTC, datetime

import httpx2
import pytest

from errata import AsyncClient, Client
from errata.protocol import Action, Agent, Permit, Proposal, Receipt
from errata.testing import APPROVE, FakeServer

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Counted:
    """A fake server that counts the requests with receipts."""

    def __init__(self) -> None:
        self.server = FakeServer(lambda _: APPROVE)
        self.requests = 0

    @property
    def transport(self) -> httpx2.MockTransport:
        def handle(request: httpx2.Request) -> httpx2.Response:
            self.requests += "receipt" in request.url.path
            return self.server.transport.handler(request)  # pyright: ignore[reportReturnType]

        return httpx2.MockTransport(handle)

    def used(self, count: int) -> list[Permit]:
        """Permits that were used."""
        with Client(key="any", transport=self.server.transport) as client:
            tickets = [client.propose(_transfer(n)) for n in range(count)]
            found = [one.permit for one in tickets if one.permit is not None]
            assert len(found) == count
            return [client.consume(one, one.digest) for one in found]

    def told(self) -> list[str]:
        return [one.permit_id for one in self.server.receipts]


def _transfer(number: int) -> Proposal:
    return Proposal(
        hap="1",
        id=f"p{number}",
        kind="action",
        agent=Agent(id="desk"),
        action=Action(name="transfer", arguments={"amount": number}),
    )


def receipt(permit: Permit) -> Receipt:
    return Receipt(permit_id=permit.id, status="executed", started_at=NOW, finished_at=NOW)


def test_a_client_sends_receipts_of_a_moment_as_one_request() -> None:
    counted = Counted()
    permits = counted.used(5)
    with Client(key="any", transport=counted.transport) as client:
        for one in permits:
            client.report_behind(receipt(one))
    assert counted.told() == [one.id for one in permits]
    assert counted.requests == 1


def test_so_does_one_in_an_event_loop() -> None:
    counted = Counted()
    permits = counted.used(5)

    async def report() -> None:
        async with AsyncClient(key="any", transport=counted.transport) as client:
            for one in permits:
                client.report_behind(receipt(one))

    asyncio.run(report())
    assert counted.told() == [one.id for one in permits]
    assert counted.requests == 1


@pytest.mark.parametrize("pause", [0.0, 0.001], ids=["before it began", "while it gathered"])
def test_a_loop_that_ends_leaves_nothing_untold_and_the_client_as_it_was(pause: float) -> None:
    counted = Counted()
    permits = counted.used(3)
    client = AsyncClient(key="any", transport=counted.transport)

    async def report(one: Permit, seconds: float) -> None:
        client.report_behind(receipt(one))
        if seconds:
            await asyncio.sleep(seconds)

    for one, seconds in zip(permits, (pause, pause, 0.5), strict=True):
        asyncio.run(report(one, seconds))
    assert sorted(counted.told()) == sorted(one.id for one in permits)


def test_a_receipt_that_is_refused_is_warned_of_and_costs_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    counted = Counted()
    [permit] = counted.used(1)
    unknown = permit.model_copy(update={"id": "unknown"})
    with Client(key="any", transport=counted.transport) as client:
        client.report_behind(receipt(unknown))
        client.report_behind(receipt(permit))
    assert counted.told() == [permit.id]
    assert "permit unknown was not taken" in caplog.text
