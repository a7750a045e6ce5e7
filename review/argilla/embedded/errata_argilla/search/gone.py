"""Records deleted between a search and its page. In: Argilla's search routes. Out: no error.

Argilla asks the engine for ids and then reads the records. For one that was deleted meanwhile it
has None, and answers with a 500.
"""

from typing import Any

from argilla_server.api.handlers.v1.datasets import records
from argilla_server.api.schemas.v1.records import SearchRecordsResult
from argilla_server.contexts import datasets
from argilla_server.models import Record


def leave_out() -> None:
    """Build pages without the records that are gone."""
    read = datasets.get_records_by_ids

    async def read_held(*given: Any, **named: Any) -> list[Record | None]:
        found = await read(*given, **named)
        # Only searches name the dataset; who answers many records is told which are gone.
        return [record for record in found if record] if "dataset_id" in named else found

    datasets.get_records_by_ids = read_held
    records.SearchRecordsResult = _page


def _page(items: list[Any], total: int) -> SearchRecordsResult:
    return SearchRecordsResult(items=[item for item in items if item], total=total)
