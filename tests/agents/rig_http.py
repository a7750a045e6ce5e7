"""An agent in JavaScript over plain HTTP, with the code of the how-to."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.agents.effects import Outcome, Turn, World
from tests.agents.rig_functions import FunctionRig
from tests.waiting import PROCESS_S

HERE = Path(__file__).parent
HOW_TO = HERE.parents[1] / "docs" / "howto" / "http.md"


class HttpRig(FunctionRig):
    exempt = {
        **FunctionRig.exempt,
        17: "the example gives a repeated call an id of its own, so people are asked once more",
    }

    def run(self, world: World, script: list[Turn], thread: str = "t1") -> Outcome:
        node = shutil.which("node")
        if node is None:
            pytest.skip("there is no node on this machine to run the JavaScript of the how-to")
        folder = Path(world.folder)
        block = re.search(r"```js\n(.*?)```", HOW_TO.read_text("utf-8"), re.DOTALL)
        assert block is not None
        (folder / "gated.mjs").write_text(block[1], "utf-8")
        shutil.copy(HERE / "agent.mjs", folder)
        calls = [[one._asdict() for one in turn] for turn in self._calls(world, script)]
        given = json.dumps({"world": world._asdict(), "calls": calls, "thread": thread})
        done = subprocess.run(
            [node, folder / "agent.mjs", given],
            env={**os.environ, "ERRATA_URL": world.url, "ERRATA_KEY": world.key},
            capture_output=True,
            text=True,
            timeout=PROCESS_S,
            check=False,
        )
        if done.returncode == 9:
            os._exit(9)
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return Outcome(**told, said=None if told["waiting"] else str(script[-1]))


RIG = HttpRig()
