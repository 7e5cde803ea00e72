"""Catalogues: all formats read the same, and invalid entries are reported with their position."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    assert list(read_catalogue(path).sources) == EXPECTED


names = st.text("abcXYZ019-_.,~%/äß", max_size=20)
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
        found = list(read_catalogue(path).sources)
        if suffix in TABULAR:
            assert found == list(expected.values()), suffix
        else:
            assert [source.url for source in found] == [one.url for one in expected.values()]


def test_one_url_or_id_per_line(tmp_path: Path) -> None:
    lines = f"# comment\n{IDS[0]}\n\n{URL}\nhttps://www.youtube.com/watch?v={IDS[0]}\n"
    found = read_catalogue(write(tmp_path / "urls.txt", lines)).sources
    assert [source.source_id for source in found] == [source.source_id for source in EXPECTED]


@pytest.mark.parametrize("header", ["category\tvideo_id\tclip", "category, video_id, clip"])
def test_clip_list_of_360_1m(tmp_path: Path, header: str) -> None:
    lines = f"{header}\nRide, walk\t{IDS[1]}\t3\nRide\t{IDS[1]}\t4\nRide\t{IDS[0]}\t0\n"
    found = read_catalogue(write(tmp_path / "hq.tsv", lines)).sources
    assert [source.source_id for source in found] == [f"youtube:{IDS[1]}", f"youtube:{IDS[0]}"]


def test_parquet_of_360_1m(tmp_path: Path) -> None:
    path = tmp_path / "360-1M.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"title": ["a", "b"], "id": IDS}), path)
    found = read_catalogue(path).sources
    assert [source.source_id for source in found] == [f"youtube:{name}" for name in IDS]


def test_large_parquet_is_read_in_batches_and_errors_name_the_row(tmp_path: Path) -> None:
    names = [f"{number:011d}" for number in range(150_000)]
    table = pyarrow.table({"views": range(150_000), "id": names})
    pyarrow.parquet.write_table(table, tmp_path / "long.parquet", row_group_size=50_000)
    sources = read_catalogue(tmp_path / "long.parquet").sources
    found = [source.source_id for source in sources[::50_000]]
    assert found == [f"youtube:{name}" for name in names[::50_000]]
    assert len(sources) == 150_000
    incomplete = pyarrow.table({"id": [*names[:140_000], "short"]})
    pyarrow.parquet.write_table(incomplete, tmp_path / "bad.parquet")
    with pytest.raises(InvalidInput, match="row 140001"):
        read_catalogue(tmp_path / "bad.parquet")


def test_malformed_urls_are_sources_like_others(tmp_path: Path) -> None:
    """They fail when they are fetched, and do not make the catalogue invalid."""
    lines = ["ftp://example.com/x.mp4", "http://[broken", "http://host:port/"]
    found = read_catalogue(write(tmp_path / "urls.txt", "\n".join(lines))).sources
    assert [source.url for source in found] == lines


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("a.csv", "title,link\nx,y\n", ["title, link"]),
        ("a.jsonl", '{"link": "x"}\n', ["line 1", "link"]),
        ("a.jsonl", "[1]\n", ["line 1", "list"]),
        ("a.jsonl", "{\n", ["line 1", "JSON"]),
        ("a.csv", "id\n../../etc/pas\n", ["line 2", "'../../etc/pas'"]),
        ("a.csv", "id\nhttps://youtu.be/dQw4w9WgXcQ\n", ["line 2", "https://youtu.be", "`url`"]),
        ("a.csv", "url,split\nhttps://e.com/x,training\n", ["'training'", "train, val, test"]),
        ("a.csv", 'url,split\n"",train\n', ["a.csv", "1 entries"]),
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


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.csv", "url\nhttp://e.com/clip,w_1920/v.mp4\n", 2),
        ("a.csv", "title,url\nwalk,http://e.com/1\nA, B,http://e.com/2\n", 3),
        ("a.csv", "url,split\nhttp://e.com/1\n", 2),
        ("a.csv", "url\rhttp://e.com/1\rhttp://e.com/2,x\r", 3),
        ("a.csv", "\nurl,note\n\nhttp://e.com/1,\nhttp://e.com/2,a,b\n", 5),
        ("a.csv", 'url,title\nhttp://e.com/1,"open\nhttp://e.com/2,walk\n', 2),
        ("a.csv", "url,title\nhttp://e.com/1," + "x" * 200_000 + "\n", 2),
        ("a.csv", "url\nhttp://e.com/\0.mp4\n", 2),
        ("a.csv", "url\nhttp://e.com/1\n\ufeffurl\nhttp://e.com/2\n", 3),
        ("a.tsv", "url\ttitle\nhttp://e.com/1\ta\tb\n", 2),
        ("a.tsv", 'url\ttitle\nhttp://e.com/1\t"open\nhttp://e.com/2\twalk\n', 2),
        ("a.tsv", 'title\turl\n"A\thttp://e.com/1\nB"\thttp://e.com/2\n', 2),
        ("a.tsv", "category, video_id, clip\nRide\tdQw4w9WgXcQ\n", 2),
        ("a.jsonl", '{"url": "http://e.com/1"}\n{"url": 5}\n', 2),
        ("a.jsonl", '{"id": ["dQw4w9WgXcQ"]}\n', 1),
        ("a.jsonl", '{"url": "http://e.com/1"}\n{"link": "x"}\n', 2),
        ("a.jsonl", "[" * 100_000 + "\n", 1),
        ("a.jsonl", '{"url": "http://e.com/1\\tWalk"}\n', 1),
        ("a.json", '{"url": "http://e.com/1"}\n', 1),
        ("a.json", '["http://e.com/1"]\n', 1),
        ("a.json", '[\n  "http://e.com/1"\n]\n', 1),
        ("a.txt", "http://e.com/1\tWalk\n", 1),
        ("a.txt", "http://e.com/1 Walk in the park\n", 1),
        ("a.txt", "# list\nhttp://e.com/1\nwalk\n", 3),
        ("a.txt", "url,split\nhttp://e.com/1,train\n", 1),
        ("a.txt", "www.example.com/1.mp4\n", 1),
        ("a.txt", "/home/user/1.mp4\n", 1),
        ("a.txt", "http://\n", 1),
        ("a.txt", "http://e.com/" + "x" * 9000 + "\n", 1),
    ],
)
def test_what_is_no_url_is_refused_by_its_line(
    tmp_path: Path, name: str, text: str, line: int
) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8", newline="")
    with pytest.raises(InvalidInput, match=rf"line {line}: ") as caught:
        read_catalogue(path)
    assert len(str(caught.value)) < 800


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "url\nhttp://e.com/1,,\nhttp://e.com/2\n"),  # commas at the end of a line
        ("a.csv", "url,,\nhttp://e.com/1\nhttp://e.com/2,,\n"),  # columns without a name
        ("a.csv", "url,title\nhttp://e.com/1,\nhttp://e.com/2,\n"),  # empty titles
        ("a.csv", '\ufeff"url","title"\r\nhttp://e.com/1,"a,\r\nb"\r\nhttp://e.com/2,c\r\n'),
        ("a.csv", "url,title\rhttp://e.com/1,a\rhttp://e.com/2,b\r"),
        ("a.tsv", 'url\ttitle\nhttp://e.com/1\t"Up" there\nhttp://e.com/2\t5" disc\n'),
        ("a.txt", "  # comment\n\t#x\nhttp://e.com/1\n\n   http://e.com/2  \n"),
    ],
)
def test_harmless_variants_are_read(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8", newline="")
    found = [source.url for source in read_catalogue(path).sources]
    assert found == ["http://e.com/1", "http://e.com/2"]


@pytest.mark.parametrize("suffix", TABULAR)
def test_entries_without_a_value_are_skipped_and_counted(tmp_path: Path, suffix: str) -> None:
    rows: Rows = [{"url": URL, "split": "val"}, {"url": None, "split": "val"}]
    rows += [{"url": "  ", "split": None}, {"url": IDS[0], "split": None}]
    path = tmp_path / f"a.{suffix}"
    WRITERS[suffix](path, rows)
    found = read_catalogue(path)
    blank = 1 if suffix in ("csv", "tsv") else 0  # a row without any value is a blank line
    assert (len(found.sources), found.empty_entries) == (2, 2 - blank)


@pytest.mark.parametrize(
    "values", [pyarrow.array([1, 2]), pyarrow.array([b"dQw4w9WgXcQ"]), pyarrow.array([[IDS[0]]])]
)
def test_a_parquet_column_of_another_type_is_refused(tmp_path: Path, values: Any) -> None:
    pyarrow.parquet.write_table(pyarrow.table({"id": values}), tmp_path / "a.parquet")
    with pytest.raises(InvalidInput, match="row 1"):
        read_catalogue(tmp_path / "a.parquet")


@pytest.mark.parametrize("header", ["url,url", "url,split,split", "id,title,id"])
def test_columns_of_one_name_are_refused(tmp_path: Path, header: str) -> None:
    with pytest.raises(InvalidInput, match="columns are named"):
        read_catalogue(write(tmp_path / "a.csv", f"{header}\n"))


def test_many_invalid_lines_give_one_error_with_the_first_and_their_number(tmp_path: Path) -> None:
    lines = [f"line number {number}" for number in range(3000)]
    with pytest.raises(InvalidInput) as caught:
        read_catalogue(write(tmp_path / "a.txt", "\n".join(["http://e.com/1", *lines])))
    message = str(caught.value)
    assert "3,000" in message
    assert all(f"line {number}: " in message for number in range(2, 7))
    assert "line 8: " not in message
    assert len(message) < 2000


def test_missing_file_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"none\.csv"):
        read_catalogue(tmp_path / "none.csv")
