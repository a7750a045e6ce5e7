"""The table in the docs is that of the adapters and tests as they are."""

from pathlib import Path

from tests.agents import table

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"


def test_the_table_in_the_docs_is_what_a_run_in_which_all_passes_writes() -> None:
    assert PAGE.read_text("utf-8") == table.render(table.expected()), "run `make adapters`"
