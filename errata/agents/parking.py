"""Runs that stop: their state is kept by the server until all that they wait for is decided.

In: what a framework wrote when it stopped. Out: the kept state; at the resume the same content, from
a version that this adapter reads.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Generic, NamedTuple, TypeVar

from errata import errors
from errata.agents import versions
from errata.async_client import AsyncClient
from errata.protocol import Agent
from errata.states import Framework, Parked, Saved

R = TypeVar("R")


class Ran(NamedTuple, Generic[R]):
    """Where a run stands."""

    result: R
    """The framework's own; its last word where nothing waits."""
    waits: tuple[str, ...] = ()
    """Ids of the proposals that people have not decided."""
    saved: Parked | None = None
    """What to resume; None where the run is over."""


class Stop(NamedTuple):
    """What a run that waits leaves behind."""

    content: Any
    """JSON, to go on from."""
    waits: Sequence[str]
    tools: Mapping[str, str | None]
    """Digest of the schema of each tool that waits."""


async def keep(
    client: AsyncClient,
    agent: Agent,
    distribution: str,
    stop: Stop,
    before: Saved | None,
) -> Parked:
    """Have a state kept in place of the one that the run was resumed from.

    Raises:
        TooLarge: It is over eight megabytes; nothing is kept, and the run cannot be resumed.
        Conflict: Another process has taken the state since, and goes on with it.
    """
    return await client.park(
        stop.content,
        agent=agent,
        framework=Framework(name=distribution, version=versions.require(distribution)),
        proposals=list(dict.fromkeys(stop.waits)),
        tools=stop.tools,
        replaces=before,
    )


async def end(client: AsyncClient, before: Saved | None) -> None:
    """Let go of the state from which a run was resumed that is over now."""
    if before is not None:
        # Whoever has taken it since is told the same results; this run's stay true.
        with suppress(errors.Conflict):
            await client.finish(before)


def check(saved: Saved, distribution: str) -> None:
    """Refuse a state that another framework wrote, or a version of it that nobody has tried.

    Raises:
        Malformed: It is one; `field` says what of it does not fit.
    """
    low, high, _ = versions.TESTED[distribution]
    name, version = saved.framework.name, saved.framework.version
    if name != distribution:
        raise errors.Malformed(
            f"framework.name: the state is of {name!r}, not of {distribution!r}; resume it with the "
            "adapter of that framework",
            field="framework.name",
        )
    if not versions.fits(distribution, version):
        raise errors.Malformed(
            f"framework.version: the state is of {distribution} {version}, and this adapter reads "
            f">={low},<{high}; resume it where that version is installed, or begin the run anew",
            field="framework.version",
        )
