"""Plain functions: the job is run again from its start, in threads or in an event loop."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from errata import Agent, AsyncClient, Client, errors
from errata.agents.functions import gated
from tests.agents.effects import Call, Outcome, Turn, World
from tests.agents.rigs import Rig


def functions(world: World) -> dict[str, Callable[..., str]]:
    def transfer(to: str, amount: float) -> str:
        """Send money."""
        return world.transfer(to, amount)

    def transfer_in(to: str, amount: float, currency: str = "EUR") -> str:
        """Send money."""
        return world.transfer(to, amount)

    transfer_in.__name__ = "transfer"

    def look_up(name: str) -> str:
        """Find an account."""
        return world.look_up(name)

    return {"transfer": transfer_in if world.currency else transfer, "look_up": look_up}


def _awaited(function: Callable[..., str]) -> Callable[..., Awaitable[str]]:
    """The same as a coroutine function with the same parameters."""

    async def transfer(to: str, amount: float) -> str:
        return function(to, amount)

    async def transfer_in(to: str, amount: float, currency: str = "EUR") -> str:
        return function(to, amount)

    transfer_in.__name__ = "transfer"

    async def look_up(name: str) -> str:
        return function(name)

    if function.__name__ == "look_up":
        return look_up
    return transfer_in if "currency" in function.__code__.co_varnames else transfer


class FunctionRig(Rig):
    saved = ()
    exempt = {5: "a job keeps nothing of its own in which an approval could stand"}

    def _calls(self, world: World, script: list[Turn]) -> list[list[Call]]:
        """The turns as the job makes them now; what was changed meanwhile is another call."""
        changed = Path(world.folder, "changed.json")
        turns = [[*turn] for turn in script if not isinstance(turn, str)]
        if changed.exists():
            turns[0][0] = turns[0][0]._replace(arguments=json.loads(changed.read_text("utf-8")))
        return turns

    def run(self, world: World, script: list[Turn], thread: str = "t1") -> Outcome:
        with Client(world.url, world.key) as client:
            agent = Agent(id="cfo", version=world.version)
            tool = gated(client, agent, thread=thread, timeout=0)
            held = {name: tool(one) for name, one in functions(world).items()}
            outcome = Outcome([], [])
            for turn in self._calls(world, script):
                for call in turn:
                    outcome = _after(outcome, partial(held[call.name], **call.arguments))
                if outcome.waiting:
                    return outcome
            return outcome._replace(said=str(script[-1]))

    def resume(self, world: World, script: list[Turn], thread: str = "t1") -> Outcome:
        return self.run(world, script, thread)

    def mutate(self, world: World, arguments: dict[str, Any], thread: str = "t1") -> None:
        Path(world.folder, "changed.json").write_text(json.dumps(arguments), "utf-8")

    def forge(self, world: World, script: list[Turn], thread: str = "t1") -> Outcome:
        raise NotImplementedError

    def nested(self, world: World, script: list[Turn]) -> Outcome:
        return self.run(world, script, "t1/desk/teller")

    def resume_nested(self, world: World, script: list[Turn]) -> Outcome:
        return self.nested(world, script)


class CoroutineRig(FunctionRig):
    def run(self, world: World, script: list[Turn], thread: str = "t1") -> Outcome:
        return asyncio.run(self._run(world, script, thread))

    async def _run(self, world: World, script: list[Turn], thread: str) -> Outcome:
        async with AsyncClient(world.url, world.key) as client:
            agent = Agent(id="cfo", version=world.version)
            tool = gated(client, agent, thread=thread, timeout=0)
            held = {name: tool(_awaited(one)) for name, one in functions(world).items()}
            outcome = Outcome([], [])
            for turn in self._calls(world, script):
                made = [held[call.name](**call.arguments) for call in turn]
                for given in await asyncio.gather(*made, return_exceptions=True):
                    outcome = _after(outcome, partial(_value, given))
                if outcome.waiting:
                    return outcome
            return outcome._replace(said=str(script[-1]))


def _value(given: Any) -> str:
    if isinstance(given, BaseException):
        raise given
    return given


def _after(outcome: Outcome, call: Callable[[], str]) -> Outcome:
    try:
        return outcome._replace(told=[*outcome.told, call()])
    except errors.StillOpen as error:
        found = re.search(r"proposal (\S+)", error.detail)
        assert found is not None
        return outcome._replace(waiting=[*outcome.waiting, found[1]])
    except (errors.Refused, errors.RanBefore, errors.Malformed) as error:
        return outcome._replace(told=[*outcome.told, error.detail])


THREADS = FunctionRig()
LOOP = CoroutineRig()
