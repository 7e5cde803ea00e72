"""Fixtures of curation: a few processed videos, shared by all tests."""

import pytest

from tests.support.processed import KINDS, ProcessedVideo, process_kind


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ProcessedVideo]:
    """Return a processed video of each kind. They are shared: do not change their folders."""
    return {
        kind: process_kind(tmp_path_factory.mktemp(kind), kind, seed)
        for seed, kind in enumerate(KINDS)
    }
