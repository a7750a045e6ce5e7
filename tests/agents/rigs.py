"""What the conformance tests need of an adapter, and the table of those that have it.

In: a world, a script. Out: an agent of each framework that follows the script behind its adapter,
with nothing but files between one call and the next: each could be another process.
"""

import importlib
import multiprocessing
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from tests.agents.effects import Outcome, Turn, World
from tests.waiting import PROCESS_S

RIGS = {
    "LangChain middleware": "tests.agents.rig_langgraph:RIG",
    "LangGraph nodes": "tests.agents.rig_nodes:RIG",
    "OpenAI Agents SDK": "tests.agents.rig_openai_agents:RIG",
    "pydantic-ai": "tests.agents.rig_pydantic_ai:RIG",
    "AG-UI": "tests.agents.rig_ag_ui:RIG",
    "functions": "tests.agents.rig_functions:THREADS",
    "coroutines": "tests.agents.rig_functions:LOOP",
    "plain HTTP": "tests.agents.rig_http:RIG",
    "poller, batched": "tests.agents.rig_poller:BATCHED",
    "poller, per call": "tests.agents.rig_poller:PER_CALL",
    "poller, Agent Inbox": "tests.agents.rig_poller:INBOX",
    "MCP gateway": "tests.agents.rig_mcp:RIG",
}
"""Adapters by the name that the table shows, and the modules that drive them."""


class Rig(ABC):
    """One adapter under test."""

    exempt: dict[int, str] = {}
    """Failure modes that cannot occur with this adapter, and why."""
    saved: ClassVar[tuple[str, ...]]
    """Files in the world's folder that hold what is resumed."""

    @abstractmethod
    def run(self, world: World, script: list[Turn], thread: str = "t1") -> Outcome:
        """Begin; return when it is over or waits for people."""

    @abstractmethod
    def resume(self, world: World, script: list[Turn], thread: str = "t1") -> Outcome:
        """Go on from what was saved, whether or not anything was decided."""

    @abstractmethod
    def mutate(self, world: World, arguments: dict[str, Any], thread: str = "t1") -> None:
        """Change the arguments of the call in what was saved."""

    @abstractmethod
    def forge(self, world: World, script: list[Turn], thread: str = "t1") -> Outcome:
        """Resume with an approval that the client made up."""

    def nested(self, world: World, script: list[Turn]) -> Outcome:
        """Begin a run in which the script is that of an agent three levels down."""
        raise NotImplementedError

    def resume_nested(self, world: World, script: list[Turn]) -> Outcome:
        """Go on with it."""
        raise NotImplementedError

    @contextmanager
    def copied(self, world: World) -> Generator[None]:
        """Whatever is saved is as it was before, afterwards."""
        files = [Path(world.folder, name) for name in self.saved]
        before = {one: one.read_bytes() for one in files}
        yield
        for one, content in before.items():
            one.write_bytes(content)

    def survive(self, act: Callable[[], Outcome]) -> Outcome | None:
        """What an act comes to; None where the framework or the adapter refused it."""
        try:
            return act()
        except Exception:
            return None


def rig(name: str) -> Rig:
    """The rig of an adapter."""
    module, _, held = RIGS[name].partition(":")
    return getattr(importlib.import_module(module), held)


PROCESSES = multiprocessing.get_context("forkserver")
"""Of a parent that has imported every framework, and done nothing else."""
PROCESSES.set_forkserver_preload([place.partition(":")[0] for place in RIGS.values()])


class Elsewhere(NamedTuple):
    """A process of its own."""

    process: BaseProcess
    told: Connection


def elsewhere(
    name: str, act: str, world: World, script: list[Turn], thread: str = "t1"
) -> Elsewhere:
    """`run` or `resume` in a process of its own; `result` reads what it came to."""
    told, tell = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=_act, args=(tell, name, act, world, script, thread))
    process.start()
    tell.close()
    return Elsewhere(process, told)


def result(running: Elsewhere) -> Outcome | int:
    """What a process came to, or the status with which it died."""
    try:
        assert running.told.poll(PROCESS_S), "the process neither ended nor died"
        outcome = running.told.recv()
    except EOFError:
        outcome = None
    finally:
        running.told.close()
    running.process.join(PROCESS_S)
    status = running.process.exitcode
    assert status is not None, "the process did not end"
    if outcome is None:
        return status
    assert isinstance(outcome, Outcome), outcome
    return outcome


def _act(
    tell: Connection, name: str, act: str, world: World, script: list[Turn], thread: str
) -> None:
    """Tell what it comes to, or the trace of the error that it ends with."""
    try:
        outcome = getattr(rig(name), act)(world, script, thread)
    except Exception:
        outcome = traceback.format_exc()
    tell.send(outcome)
