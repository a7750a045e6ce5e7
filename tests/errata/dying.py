"""An agent that dies: killed at one line after the other of what runs an approved action.

In: the API's address, a key, a ledger file. Out: one proposal for each line, `run-0` and so on; a
line in the ledger for each that had its effect; on stdout how many died.
"""

import os
import signal
import sys
from pathlib import Path
from types import CodeType
from typing import Any

from errata import Client
from errata.protocol import Effective, Proposal

STEPS = {"run", "_consume_in_time", "consume", "_report_run", "report", "pay"}
"""The functions between the permit and the receipt."""


def live(url: str, key: str, ledger: Path, number: int) -> None:
    """Propose and run, dying at the line of that number."""
    left = number

    def pay(version: Effective) -> str:
        with ledger.open("a", encoding="utf-8") as book:
            book.write(f"run-{number}\n")
        return str(version.action)

    def trace(frame: Any, event: str, _argument: Any) -> Any:
        nonlocal left
        code: CodeType = frame.f_code
        if code.co_name not in STEPS or "errata" not in code.co_filename:
            return None
        if event == "line":
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
        return trace

    with Client(url, key) as client:
        arguments = {"amount": 5, "to": "bob"}
        asked = {
            "hap": "1",
            "id": f"run-{number}",
            "kind": "action",
            "agent": {"id": "desk"},
            "action": {"name": "transfer", "arguments": arguments},
        }
        ticket = client.propose(Proposal.model_validate(asked))
        sys.settrace(trace)
        client.run(ticket, pay)
        sys.settrace(None)


def main() -> None:
    """Let one child after the other live, until one outlives its last line."""
    url, key, ledger = sys.argv[1:]
    number = 0
    while True:
        child = os.fork()
        if child == 0:
            live(url, key, Path(ledger), number)
            os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
            break
        number += 1
    sys.stdout.write(str(number))


if __name__ == "__main__":
    main()
