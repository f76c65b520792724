"""What the tests share: databases that end with the test, and hypothesis that prints its seed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import treering

SECOND = 1_000_000_000

settings.register_profile(
    "treering",
    deadline=None,
    print_blob=True,
    database=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("treering")


@pytest.fixture
def db() -> Iterator[treering.Database]:
    with treering.in_memory() as database:
        yield database


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[treering.Database]:
    with treering.open(tmp_path / "db", sync="never") as database:
        yield database
