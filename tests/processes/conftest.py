"""One, two and three processes."""

from collections.abc import Iterator

import pytest

from tests.processes.ranks import Ranks


def _ranks(count: int) -> Iterator[Ranks]:
    ranks = Ranks(count).start()
    yield ranks
    ranks.end()


@pytest.fixture(scope="session")
def one() -> Iterator[Ranks]:
    yield from _ranks(1)


@pytest.fixture(scope="session")
def two() -> Iterator[Ranks]:
    yield from _ranks(2)


@pytest.fixture(scope="session")
def three() -> Iterator[Ranks]:
    yield from _ranks(3)
