"""The how-tos of the frameworks: their code runs, and changes as many lines as they say."""

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import agents
import pytest
from ag_ui.core import AssistantMessage, FunctionCall, ResumeEntry, RunAgentInput, ToolCall
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from errata import AsyncClient, Client
from tests.agents import rig_langgraph, rig_openai_agents, rig_pydantic_ai
from tests.agents.effects import Call, Turn, World
from tests.agents.office import LAX, Office

PAGES = Path(__file__).parents[2] / "docs" / "howto"
SCRIPT: list[Turn] = [[Call("transfer", {"to": "bob", "amount": 10.0})], "paid"]
MODELS = {
    "openai-agents": rig_openai_agents.ScriptedModel,
    "pydantic-ai": rig_pydantic_ai.scripted,
}


@pytest.fixture
def opened() -> list[Client | AsyncClient]:
    """The clients that a page's code has made."""
    return []


@pytest.fixture
def settings(
    world: World, opened: list[Client | AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Where the pages' clients find the server; those in threads are closed at the end."""
    monkeypatch.setenv("ERRATA_URL", world.url)
    monkeypatch.setenv("ERRATA_KEY", world.key)
    for kind in (Client, AsyncClient):
        monkeypatch.setattr(kind, "__init__", _noting(kind.__init__, opened))
    yield
    for one in opened:
        if isinstance(one, Client):
            one.close()


def _noting(init: Callable[..., None], opened: list[Any]) -> Callable[..., None]:
    def noted(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        opened.append(self)

    return noted


@pytest.mark.parametrize("page", MODELS)
def test_the_code_of_a_how_to_waits_and_goes_on(
    page: str,
    world: World,
    office: Office,
    settings: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    agents.set_tracing_disabled(True)
    code = _blocks(page)
    names: dict[str, Any] = {"bank": world, "model": MODELS[page](SCRIPT)}
    for block in code:
        exec(block, names)

    async def story() -> None:
        assert "asked" in await names["answer"]("Pay Bob 10.", "t1")
        (id_,) = office.ids()
        office.say(id_, "approve")
        await names["go_on"]()
        await names["gate"].client.close()

    asyncio.run(story())
    assert capsys.readouterr().out == "paid\n"
    assert world.sent == [("bob", 10.0)]
    assert _changed(code[0]) == 5


def _blocks(page: str) -> list[str]:
    text = (PAGES / f"{page}.md").read_text("utf-8")
    return [block.split("```")[0] for block in text.split("```python\n")[1:]]


def _changed(code: str) -> int:
    return sum(line.endswith("# Errata") for line in code.splitlines())


def _run(code: str, **names: Any) -> dict[str, Any]:
    exec(code, names)
    return names


@pytest.mark.parametrize(("page", "part"), [("langchain", 0), ("langgraph", 0)])
def test_an_agent_of_langchain_or_a_tool_node_waits_and_goes_on(
    page: str, part: int, world: World, office: Office, settings: None
) -> None:
    code = _blocks(page)[part]
    model = rig_langgraph.ScriptedModel(script=SCRIPT)
    names = _run(code, bank=world, model=model, saver=InMemorySaver())
    assert names["answer"]("Pay Bob 10.", "t1") == "I have asked."
    assert names["later"]("t1") == "Not yet."
    (id_,) = office.ids()
    office.say(id_, "approve")
    assert names["later"]("t1") == "paid"
    assert world.sent == [("bob", 10.0)]
    assert _changed(code) == 4


def test_a_node_of_ones_own_waits_and_goes_on(world: World, office: Office, settings: None) -> None:
    code = _blocks("langgraph")[1]
    names = _run(code, bank=world, saver=InMemorySaver())
    names["graph"].invoke({"messages": []}, rig_langgraph.config("t1"))
    (id_,) = office.ids()
    office.say(id_, "approve")
    assert names["later"]("t1")["messages"][-1].content == "sent 10.0 to bob"
    assert world.sent == [("bob", 10.0)]
    assert _changed(code) == 5


def test_a_poller_asks_for_a_graph_that_does_not_know_of_it(
    world: World, office: Office, settings: None
) -> None:
    graph = create_agent(
        rig_langgraph.ScriptedModel(script=SCRIPT),
        rig_langgraph.tools(world),
        middleware=[HumanInTheLoopMiddleware({"transfer": True})],
        checkpointer=InMemorySaver(),
    )
    graph.invoke({"messages": [HumanMessage("pay")]}, rig_langgraph.config("t1"))
    names = _run(_blocks("langgraph")[2], graph=graph)
    (id_,) = names["look"]("t1")
    office.say(id_, "approve")
    assert names["look"]("t1") == []
    assert world.sent == [("bob", 10.0)]


def test_a_job_is_run_again_from_its_start(world: World, office: Office, settings: None) -> None:
    (code,) = _blocks("functions")
    office.apply(LAX)
    for _ in range(2):
        assert _run(code, bank=world)["job"]() == ["sent 10.0 to bob", "sent 10.0 to eve"]
    assert world.sent == [("bob", 10.0), ("eve", 10.0)]
    assert _changed(code) == 3


def test_an_agent_that_speaks_ag_ui_is_interrupted_and_resumed(
    world: World, office: Office, settings: None, opened: list[AsyncClient]
) -> None:
    (code,) = _blocks("ag-ui")
    call = FunctionCall(name="transfer", arguments='{"to": "bob", "amount": 10.0}')
    asks = AssistantMessage(
        id="a1", role="assistant", tool_calls=[ToolCall(id="c", type="function", function=call)]
    )
    ends = AssistantMessage(id="a2", role="assistant", content="paid")

    async def model(messages: list[Any]) -> AssistantMessage:
        return ends if any(one.role == "tool" for one in messages) else asks

    async def story() -> list[Any]:
        names = _run(code, bank=world, model=model)
        given = RunAgentInput(thread_id="t1", run_id="r1", messages=[])
        _, finished = [one async for one in names["run"](given)]
        entries = [
            ResumeEntry(interrupt_id=one.id, status="resolved")
            for one in finished.outcome.interrupts
        ]
        office.say(entries[0].interrupt_id, "approve")
        given = RunAgentInput(thread_id="t1", run_id="r2", messages=[asks], resume=entries)
        ended = [one async for one in names["run"](given)]
        await opened[0].close()
        return ended

    said, finished = asyncio.run(story())
    assert (said.content, finished.outcome.type) == ("paid", "success")
    assert world.sent == [("bob", 10.0)]
    assert _changed(code) == 5


def test_the_index_says_how_many_lines_change() -> None:
    text = (PAGES / "README.md").read_text("utf-8")
    pages = re.findall(r"\]\(([a-z-]+)\.md[^)]*\) \| (\d) \|", text)
    for page in dict.fromkeys(name for name, _ in pages):
        stated = [int(count) for name, count in pages if name == page]
        counted = [_changed(code) for code in _blocks(page)]
        assert page == "mcp" or stated == counted[: len(stated)], page
        assert max(stated) <= 5
