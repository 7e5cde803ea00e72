"""Catalogues: all formats read the same, and invalid entries are reported with their position."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argus.curate import VideoSource, read_catalogue
from argus.dataset import identify
from argus.errors import InvalidInput
from schemas.names import Split

IDS = ["dQw4w9WgXcQ", "-_AAAAAAA09"]
URL = "https://example.com/a.mp4?x=1"
EXPECTED = [
    VideoSource("youtube:dQw4w9WgXcQ", "https://www.youtube.com/watch?v=dQw4w9WgXcQ", Split.TEST),
    VideoSource(identify(URL)[0], URL, None),
]
Rows = list[dict[str, str | None]]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def write_parquet(path: Path, rows: Rows) -> None:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def write_table(path: Path, rows: Rows) -> None:
    delimiter = "," if path.suffix == ".csv" else "\t"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(rows[0])
        writer.writerows([value or "" for value in row.values()] for row in rows)


def write_jsonl(path: Path, rows: Rows) -> None:
    write(path, "\n".join(json.dumps(row) for row in rows) + "\n\n")


def write_lines(path: Path, rows: Rows) -> None:
    write(path, "# comment\n" + "\n\n".join(row["url"] or "" for row in rows) + "\n")


WRITERS: dict[str, Callable[[Path, Rows], None]] = {
    "parquet": write_parquet,
    "csv": write_table,
    "tsv": write_table,
    "jsonl": write_jsonl,
    "txt": write_lines,
}
TABULAR = ["parquet", "csv", "tsv", "jsonl"]


@pytest.mark.parametrize("suffix", TABULAR)
def test_all_formats_read_the_same(tmp_path: Path, suffix: str) -> None:
    rows: Rows = [
        {"title": "x, y", "url": "https://youtu.be/dQw4w9WgXcQ", "split": "test"},
        {"title": "x, y", "url": URL, "split": None},
        {"title": "x, y", "url": IDS[0], "split": "train"},
    ]
    path = tmp_path / f"a.{suffix}"
    WRITERS[suffix](path, rows)
    assert read_catalogue(path) == EXPECTED


names = st.text("abcXYZ019-_.,~%/ äß", max_size=20).map(str.strip)
urls = st.builds("https://{}.example/{}.mp4?x={}".format, st.text("abc", min_size=1), names, names)
entries = st.lists(
    st.tuples(urls, st.none() | st.sampled_from([*Split])), min_size=1, max_size=8, unique=True
)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(entries=entries)
def test_urls_and_splits_round_trip_through_every_format(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, Split | None]]
) -> None:
    expected: dict[str, VideoSource] = {}
    for url, split in entries:
        source = VideoSource(*identify(url), split)
        expected.setdefault(source.source_id, source)
    rows: Rows = [{"url": url, "split": split and str(split)} for url, split in entries]
    for suffix, write_rows in WRITERS.items():
        path = tmp_path_factory.getbasetemp() / f"round_trip.{suffix}"
        write_rows(path, rows)
        found = read_catalogue(path)
        if suffix in TABULAR:
            assert found == list(expected.values()), suffix
        else:
            assert [source.url for source in found] == [one.url for one in expected.values()]


def test_one_url_or_id_per_line(tmp_path: Path) -> None:
    lines = f"# comment\n{IDS[0]}\n\n{URL}\nhttps://www.youtube.com/watch?v={IDS[0]}\n"
    found = read_catalogue(write(tmp_path / "urls.txt", lines))
    assert [source.source_id for source in found] == [source.source_id for source in EXPECTED]


@pytest.mark.parametrize("header", ["category\tvideo_id\tclip", "category, video_id, clip"])
def test_clip_list_of_360_1m(tmp_path: Path, header: str) -> None:
    lines = f"{header}\nRide, walk\t{IDS[1]}\t3\nRide\t{IDS[1]}\t4\nRide\t{IDS[0]}\t0\n"
    found = read_catalogue(write(tmp_path / "hq.tsv", lines))
    assert [source.source_id for source in found] == [f"youtube:{IDS[1]}", f"youtube:{IDS[0]}"]


def test_parquet_of_360_1m(tmp_path: Path) -> None:
    path = tmp_path / "360-1M.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"title": ["a", "b"], "id": IDS}), path)
    found = read_catalogue(path)
    assert [source.source_id for source in found] == [f"youtube:{name}" for name in IDS]


def test_large_parquet_is_read_in_batches_and_errors_name_the_row(tmp_path: Path) -> None:
    names = [f"{number:011d}" for number in range(150_000)]
    table = pyarrow.table({"views": range(150_000), "id": names})
    pyarrow.parquet.write_table(table, tmp_path / "long.parquet", row_group_size=50_000)
    sources = read_catalogue(tmp_path / "long.parquet")
    found = [source.source_id for source in sources[::50_000]]
    assert found == [f"youtube:{name}" for name in names[::50_000]]
    assert len(sources) == 150_000
    incomplete = pyarrow.table({"id": [*names[:140_000], None]})
    pyarrow.parquet.write_table(incomplete, tmp_path / "bad.parquet")
    with pytest.raises(InvalidInput, match="row 140001"):
        read_catalogue(tmp_path / "bad.parquet")


def test_malformed_urls_are_sources_like_others(tmp_path: Path) -> None:
    """They fail when they are fetched, and do not make the catalogue invalid."""
    lines = ["ftp://example.com/x.mp4", "http://[broken", "http://host:port/"]
    found = read_catalogue(write(tmp_path / "urls.txt", "\n".join(lines)))
    assert [source.url for source in found] == lines


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("a.csv", "title,link\nx,y\n", ["title, link"]),
        ("a.jsonl", '{"link": "x"}\n', ["line 1", "link"]),
        ("a.jsonl", "[1]\n", ["line 1", "list"]),
        ("a.jsonl", "{\n", ["jsonl"]),
        ("a.csv", "id\n../../etc/pas\n", ["line 2", "'../../etc/pas'"]),
        ("a.csv", "id\nhttps://youtu.be/dQw4w9WgXcQ\n", ["line 2", "https://youtu.be", "`url`"]),
        ("a.csv", "url,split\nhttps://e.com/x,training\n", ["'training'", "train, val, test"]),
        ("a.csv", 'url,split\n"",train\n', ["line 2", "`url`"]),
        ("a.csv", "url\n", ["a.csv"]),
        ("a.csv", "", ["a.csv"]),
        ("a.txt", "\n\n", ["a.txt"]),
        ("a.parquet", "not parquet", ["parquet"]),
    ],
)
def test_invalid_catalogues_are_rejected_with_position_and_value(
    tmp_path: Path, name: str, text: str, values: list[str]
) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_catalogue(write(tmp_path / name, text))
    assert all(value in str(caught.value) for value in values), caught.value


def test_missing_file_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"none\.csv"):
        read_catalogue(tmp_path / "none.csv")
