"""Refreshes as processes of their own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.refreshes import Refresh

NewRefresh = Callable[..., Refresh]


@pytest.fixture(scope="module")
def new_refresh() -> Iterator[NewRefresh]:
    """Return a function that makes a Refresh; none of them outlives its module."""
    started: list[Refresh] = []

    def make(folder: Path, urls: list[str], **config: object) -> Refresh:
        started.append(Refresh(folder, urls, **config))
        return started[-1]

    yield make
    for refresh in started:
        refresh.kill()
