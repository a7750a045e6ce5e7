"""Making the stage folders importable where the package is installed from a wheel.

In: nothing. Out: `ingestion`, `review`, `training` and `metrics` on the import path. In a wheel
they lie inside this package, so that it does not own such common names in a stranger's
environment; in a checkout they are on the path already.
"""

import sys
from pathlib import Path


def open_stages() -> None:
    """Put the stage folders on the import path, before anything else of the same name."""
    folder = Path(__file__).parent / "_stages"
    if folder.is_dir() and str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
