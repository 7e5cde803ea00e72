"""Every reader against the ffmpeg binary, over files that cover all pairs of properties.

Frame count, times, properties and pictures; `python -m tests.support.reader_table OUT.md` writes
the table of all files.
"""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.media_matrix import FACTORS, cover_pairs, is_allowed
from tests.support.reader_table import EXPLAINED, FILES, compare, make_file

FAST = (
    "h264.mp4",
    "h264-bt709-270-container-variable-trim-top.mp4",
    "hevc-10-pq-90m-container-variable-720.mov",
    "vp9-12-hlg-90m.webm",
    "av1-bt709-270m-container-delay.mkv",
    "mpeg2-bt601-top.ts",
    "joined_h264.ts",
    "xvid.avi",
    "preview_first.mp4",
)


def mark_slow(names: tuple[str, ...]) -> list[object]:
    """Return the names as parameters, of which those outside FAST run with the slow tests."""
    return [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("matrix")
    return lambda name: make_file(name, folder)


# Pairs that are impossible because of a third property.
IMPOSSIBLE = {
    *itertools.product(("vp8", "theora"), ["trim"]),  # not in mp4 and mov
    *itertools.product(("mpg", "ogv"), ["bt2020", "pq", "hlg", 10, 12, "pc"]),  # SDR codecs
    *itertools.product(("webm", "ogv"), ["top", "bottom"]),  # progressive codecs
    ("webm", "codec"),  # its codecs declare no aspect
}


def test_recipes_cover_every_pair_of_properties() -> None:
    had = {
        frozenset({(first, getattr(recipe, first)), (second, getattr(recipe, second))})
        for recipe in cover_pairs()
        for first, second in itertools.combinations(FACTORS, 2)
    }
    for (first, firsts), (second, seconds) in itertools.combinations(FACTORS.items(), 2):
        for one, other in itertools.product(firsts, seconds):
            is_possible = is_allowed({first: one, second: other}) and not (
                {(one, other), (other, one)} & IMPOSSIBLE
            )
            assert (frozenset({(first, one), (second, other)}) in had) == is_possible
    assert len(set(FILES)) == len(FILES) >= 150
    assert set(FAST) <= set(FILES)


@pytest.mark.parametrize("name", mark_slow(FILES))
def test_readers_show_what_ffmpeg_shows(made: Callable[[str], Path], name: str) -> None:
    differences = compare(made(name)).differences
    assert differences.keys() == EXPLAINED.get(name, {}).keys(), differences
