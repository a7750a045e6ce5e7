"""What Argilla imports and seldom or never needs here. In: module names. Out: stand-ins for them.

The clients of Elasticsearch and OpenSearch are never called, and the libraries that speak to the
Hub (pyarrow, pandas) only by jobs that copy a dataset from or to it. Together they were more than
half of the memory of each process, and of the time it took to start.
"""

import importlib
import sys
from types import ModuleType
from typing import Any

_HUB = "argilla_server.contexts.hub"


def leave_out() -> None:
    """Put stand-ins in place; to be called before Argilla is imported."""
    _stand_in("argilla_server.search_engine.elasticsearch", ElasticSearchEngine=None)
    _stand_in("argilla_server.search_engine.opensearch", OpenSearchEngine=None)
    _stand_in(
        _HUB,
        HubDataset=lambda *source: _hub().HubDataset(*source),
        HubDatasetExporter=lambda dataset: _hub().HubDatasetExporter(dataset),
    )


def _hub() -> ModuleType:
    """Import what was put off."""
    if not sys.modules[_HUB].__spec__:
        del sys.modules[_HUB]
    return importlib.import_module(_HUB)


def _stand_in(name: str, **contents: Any) -> None:
    module = ModuleType(name)
    vars(module).update(contents)
    sys.modules[name] = module
