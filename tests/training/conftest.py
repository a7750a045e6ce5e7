"""What tests of trainings share: bundles and an untrained model."""

import pytest

from tests.training import desk
from tests.training.desk import Ground


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return desk.ground(tmp_path_factory.mktemp("desk"))
