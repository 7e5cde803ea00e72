"""A refresh that is killed between commits, or within one, ends in the same dataset."""

import contextlib
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from argus.dataset import Dataset, DecidedVideo, Store
from argus.dataset.index import Index
from tests.dataset.conftest import Maker

KINDS = st.sampled_from(["kept", "twice", "dropped", "failed"])
CHUNKS = st.lists(st.lists(KINDS, min_size=1, max_size=3), min_size=1, max_size=4)


class Killed(BaseException):
    """The process ends here."""


def make_chunks(kinds: list[list[str]]) -> list[list[DecidedVideo]]:
    make = Maker()
    build = {
        "kept": make.kept,
        "twice": lambda source: make.kept(source, 2),
        "dropped": make.dropped,
        "failed": make.failed,
    }
    return [
        [build[kind](f"url:{number}-{place}") for place, kind in enumerate(chunk)]
        for number, chunk in enumerate(kinds)
    ]


def commit_until(dataset: Dataset, chunks: list[list[DecidedVideo]], appends: int) -> None:
    """Commit chunks; die at the given call of `Index.append`, before it commits."""
    append, left = Index.append, appends

    def die(self: Index, *args: object, **named: object) -> int | None:
        nonlocal left
        if not left:
            raise Killed
        left -= 1
        return append(self, *args, **named)

    with patch.object(Index, "append", die), contextlib.suppress(Killed):
        for chunk in chunks:
            dataset.commit_chunk(chunk)
            dataset.publish()


@settings(max_examples=10, deadline=None, derandomize=True)
@given(kinds=CHUNKS, kills=st.lists(st.integers(0, 3), max_size=3))
def test_a_killed_refresh_ends_as_an_undisturbed_one(
    kinds: list[list[str]], kills: list[int]
) -> None:
    with TemporaryDirectory() as folder:
        whole, torn = (Dataset(Path(folder) / name) for name in ("whole", "torn"))
        commit_until(whole, make_chunks(kinds), len(kinds))
        for appends in kills:
            commit_until(Dataset(torn.store), make_chunks(kinds), appends)
        commit_until(Dataset(torn.store), make_chunks(kinds), len(kinds))
        ours, theirs = (one.publish() for one in (torn, whole))
        assert (ours and ours.digest) == (theirs and theirs.digest)
        assert torn.read_decisions().equals(whole.read_decisions())
        names = [Store.of(one.store).list_names("shards") for one in (torn, whole)]
        assert names[0] == names[1]
