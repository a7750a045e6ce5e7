"""What a command leaves on the terminal when it ends."""

import subprocess
import sys
from pathlib import Path

from errata.db import Database


def test_a_report_ends_without_a_word_on_the_error_stream(tmp_path: Path) -> None:
    # DuckDB's binding tells at the end of each object that Python did not give back.
    Database(f"sqlite:///{tmp_path / 'errata.db'}").migrate()
    command = [sys.executable, "-m", "errata", "report", "--home", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stderr == ""
