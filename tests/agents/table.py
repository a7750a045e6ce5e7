"""The conformance table of the docs, written from what a run of the tests has shown.

In: outcomes by adapter and failure mode. Out: Markdown.
"""

from collections.abc import Mapping
from importlib.metadata import version

from tests.agents.rigs import RIGS, rig

MODES = {
    1: "The same state, resumed by four processes at once, runs the tool once",
    2: "The same state, resumed again later, does nothing more",
    3: "Killed between effect and receipt: `unknown`, never a second run",
    4: "Arguments changed between ask and resume never run",
    5: "An approval that the client wrote runs nothing",
    6: "The agent cannot approve itself",
    7: "What waits outlives a restart of the server",
    8: "A decision before anybody waits for it is found",
    9: "An approval that nobody carries out is raised and lapses",
    10: "Another policy: a reject stays one, an approval may not",
    11: "What expired says so",
    12: "Nothing waits without a deadline",
    13: "Silence never approves",
    14: "One of two needed votes runs nothing",
    15: "Of two reviewers at once one decides",
    16: "An edit keeps its types and its tool",
    17: "A call that is repeated after an edit asks nobody again",
    18: "Parallel calls, answered in any order, each get their own answer",
    19: "A call three agents down gets its own answer",
    20: "No socket and no timer lasts while people think",
}
FRAMEWORKS = {
    "langchain": "LangChain",
    "langgraph": "LangGraph",
    "openai-agents": "OpenAI Agents SDK",
    "pydantic-ai-slim": "pydantic-ai",
    "mcp": "MCP",
    "ag-ui-protocol": "AG-UI",
}
PASS = "pass"

HEAD = """\
# What every adapter withstands

Written by `make adapters` from a run of `tests/agents/test_conformance.py`: the real frameworks with
scripted models, a real server, a ledger of effects. A line is a way in which agents that wait for
people are known to fail; **pass** means that the test of that line passed for that adapter.
"""


def expected() -> dict[tuple[str, int], str]:
    """The table as it is when every test passes."""
    return {
        (name, mode): f"n.a.: {rig(name).exempt[mode]}" if mode in rig(name).exempt else PASS
        for name in RIGS
        for mode in MODES
    }


def render(outcomes: Mapping[tuple[str, int], str]) -> str:
    """The page: one line for a failure mode, one column for an adapter, reasons below."""
    reasons = sorted({one for one in outcomes.values() if one.startswith("n.a.")})
    lines = [
        "| # | failure mode | " + " | ".join(RIGS) + " |",
        "|---|---|" + "---|" * len(RIGS),
    ]
    for mode, words in MODES.items():
        cells = [_cell(outcomes.get((name, mode), "not run"), reasons) for name in RIGS]
        lines.append(f"| {mode} | {words} | " + " | ".join(cells) + " |")
    notes = [f"{n}. {why.removeprefix('n.a.: ')}" for n, why in enumerate(reasons, start=1)]
    tested = ", ".join(f"{words} {version(name)}" for name, words in FRAMEWORKS.items())
    parts = [HEAD, "\n".join(lines), f"Tested with {tested}."]
    if notes:
        parts.append("Not applicable, since\n\n" + "\n".join(notes))
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _cell(outcome: str, reasons: list[str]) -> str:
    return f"n.a. ({reasons.index(outcome) + 1})" if outcome in reasons else outcome
