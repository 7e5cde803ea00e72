"""Catalogues: every form reads the same, ids are stable, and what is wrong is said."""

import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from argus.curate import VideoSource, read_catalogue
from argus.dataset import assign_split, identify
from argus.errors import InvalidInput
from schemas.names import Split

IDS = ["dQw4w9WgXcQ", "-_AAAAAAA09"]
URL = "https://example.com/a.mp4?x=1"
EXPECTED = [
    VideoSource("youtube:dQw4w9WgXcQ", "https://www.youtube.com/watch?v=dQw4w9WgXcQ", Split.TEST),
    VideoSource(identify(URL)[0], URL, None),
]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_every_form_reads_the_same(tmp_path: Path) -> None:
    rows = [
        {"url": "https://youtu.be/dQw4w9WgXcQ", "split": "test"},
        {"url": URL, "split": None},
        {"url": IDS[0], "split": "train"},
    ]
    parquet = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(
        pyarrow.Table.from_pylist([{"title": "x", **row} for row in rows]), parquet
    )
    table = [["title", "url", "split"], *(["x, y", row["url"], row["split"] or ""] for row in rows)]
    paths = [
        parquet,
        write(
            tmp_path / "a.csv",
            "\ufeff" + "\n".join(",".join(f'"{cell}"' for cell in line) for line in table),
        ),
        write(tmp_path / "a.tsv", "\n".join("\t".join(line) for line in table)),
        write(tmp_path / "a.jsonl", "\n".join(json.dumps(row) for row in rows) + "\n\n"),
    ]
    for path in paths:
        assert read_catalogue(path) == EXPECTED, path.name


def test_one_url_a_line(tmp_path: Path) -> None:
    path = write(
        tmp_path / "urls.txt",
        f"# comment\n{IDS[0]}\n\n{URL}\nhttps://www.youtube.com/watch?v={IDS[0]}\n",
    )
    assert [source.source_id for source in read_catalogue(path)] == [
        source.source_id for source in EXPECTED
    ]


@pytest.mark.parametrize("header", ["category\tvideo_id\tclip", "category, video_id, clip"])
def test_the_authors_clip_list(tmp_path: Path, header: str) -> None:
    path = write(
        tmp_path / "hq.tsv",
        f"{header}\nRide, walk\t{IDS[1]}\t3\nRide\t{IDS[1]}\t4\nRide\t{IDS[0]}\t0\n",
    )
    assert [source.source_id for source in read_catalogue(path)] == [
        f"youtube:{IDS[1]}",
        f"youtube:{IDS[0]}",
    ]


def test_360_1m_parquet(tmp_path: Path) -> None:
    path = tmp_path / "360-1M.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"title": ["a", "b"], "id": IDS}), path)
    assert [source.source_id for source in read_catalogue(path)] == [
        f"youtube:{name}" for name in IDS
    ]


def test_a_long_parquet_is_read_in_parts_and_says_which_row_is_bad(tmp_path: Path) -> None:
    names = [f"{number:011d}" for number in range(150_000)]
    pyarrow.parquet.write_table(
        pyarrow.table({"views": range(150_000), "id": names}),
        tmp_path / "long.parquet",
        row_group_size=50_000,
    )
    sources = read_catalogue(tmp_path / "long.parquet")
    assert [source.source_id for source in sources[::50_000]] == [
        f"youtube:{name}" for name in names[::50_000]
    ]
    assert len(sources) == 150_000
    pyarrow.parquet.write_table(
        pyarrow.table({"id": [*names[:140_000], None]}), tmp_path / "bad.parquet"
    )
    with pytest.raises(InvalidInput, match="row 140001: `id` is empty"):
        read_catalogue(tmp_path / "bad.parquet")


@pytest.mark.parametrize(
    "url",
    [
        "dQw4w9WgXcQ",
        "https://www.youtube.com/watch?v=dQw4w9WgXcQ&t=3s",
        "http://m.youtube.com/watch?app=m&v=dQw4w9WgXcQ",
        "https://youtu.be/dQw4w9WgXcQ?si=x",
        "https://www.youtube.com/embed/dQw4w9WgXcQ",
        "https://youtube.com/shorts/dQw4w9WgXcQ/",
        "https://www.youtube.com/live/dQw4w9WgXcQ?feature=share",
        "https://www.youtube-nocookie.com/embed/dQw4w9WgXcQ",
    ],
)
def test_every_form_of_a_youtube_url_is_one_video(url: str) -> None:
    assert identify(url) == ("youtube:dQw4w9WgXcQ", "https://www.youtube.com/watch?v=dQw4w9WgXcQ")


@pytest.mark.parametrize(
    "url", ["HTTPS://Example.COM:443/a.mp4?x=1#t=3", "https://example.com/a.mp4?x=1"]
)
def test_spellings_of_a_url_are_one_video(url: str) -> None:
    assert identify(url) == (EXPECTED[1].source_id, URL)


def test_other_paths_and_lookalikes_are_other_videos() -> None:
    urls = [
        URL,
        "https://example.com/A.mp4?x=1",
        "https://example.com/a.mp4?x=2",
        "https://evil.com/watch?v=dQw4w9WgXcQ",
        "https://youtube.com/watch?v=short",
    ]
    ids = [identify(url)[0] for url in urls]
    assert len(set(ids)) == len(urls)
    assert all(name.startswith("url:") and len(name) == 20 for name in ids)


def test_a_bad_url_is_a_matter_of_its_video_not_of_the_catalogue(tmp_path: Path) -> None:
    path = write(
        tmp_path / "urls.txt", "ftp://example.com/x.mp4\nhttp://[broken\nhttp://host:port/\n"
    )
    assert [source.url for source in read_catalogue(path)] == [
        "ftp://example.com/x.mp4",
        "http://[broken",
        "http://host:port/",
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "title,link\nx,y\n", "no column `url`, `id` or `video_id`; found: title, link"),
        ("a.jsonl", '{"link": "x"}\n', "line 1: no column .* found: link"),
        ("a.jsonl", "[1]\n", "line 1: holds a list"),
        ("a.jsonl", "{\n", "cannot be read as jsonl"),
        ("a.csv", "id\n../../etc/pas\n", "line 2: id is '../../etc/pas', but a YouTube id has 11"),
        ("a.csv", "id\nhttps://youtu.be/dQw4w9WgXcQ\n", "put urls into a column `url`"),
        (
            "a.csv",
            "url,split\nhttps://e.com/x,training\n",
            "split is 'training', but must be one of train, val, test",
        ),
        ("a.csv", 'url,split\n"",train\n', "`url` is empty"),
        ("a.csv", "url\n", "is empty"),
        ("a.csv", "", "is empty"),
        ("a.txt", "\n\n", "is empty"),
        ("a.parquet", "not parquet", "cannot be read as parquet"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read_catalogue(write(tmp_path / name, text))


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="does not exist"):
        read_catalogue(tmp_path / "none.csv")


def test_splits_are_fixed_by_the_id_and_about_80_10_10() -> None:
    splits = [assign_split(f"youtube:{number:011d}") for number in range(4000)]
    shares = {split: splits.count(split) / len(splits) for split in Split}
    assert shares[Split.TRAIN] == pytest.approx(0.8, abs=0.03)
    assert shares[Split.VAL] == pytest.approx(0.1, abs=0.02)
    assert shares[Split.TEST] == pytest.approx(0.1, abs=0.02)
    assert [assign_split("youtube:dQw4w9WgXcQ"), assign_split("url:0123456789abcdef")] == [
        Split.TRAIN,
        Split.TRAIN,
    ]
