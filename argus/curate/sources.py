"""Reader of catalogues: lists of videos to curate. Nothing is fetched here.

Parquet, CSV, TSV and JSONL files have a column `url`, `id` or `video_id` (YouTube ids), and may
have a column `split`. Any other file has one URL or YouTube id per line. This covers the parquet of
360-1M (`id`), its authors' clip lists (TSV with `category, video_id, clip`, several lines per
video) and exported manifests (`argus.dataset.export_manifest`).
"""

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow
import pyarrow.parquet

from argus.curate.records import VideoSource
from argus.dataset import YOUTUBE_ID, identify
from argus.errors import InvalidInput
from schemas.names import Split

SOURCE_COLUMNS = ("url", "id", "video_id")
"""Columns that identify a video; the first one present is used."""

_TABLE_SUFFIXES = frozenset({".parquet", ".csv", ".tsv", ".jsonl", ".ndjson"})


class _CatalogueEntry(NamedTuple):
    """A raw entry of a catalogue.

    Attributes:
        number: line or row, from 1.
        column: one of `SOURCE_COLUMNS`.
        value: the value of that column.
        split: the value of the column `split`; None without one.
    """

    number: int
    column: str
    value: Any
    split: Any


class _InvalidEntry(Exception):
    """Raised for an invalid entry; the caller adds its file and line."""


def read_catalogue(path: Path | str) -> list[VideoSource]:
    """Read the videos of a catalogue.

    Args:
        path: a parquet, CSV, TSV or JSONL file, or a text file with one URL or YouTube id per line.

    Returns:
        The videos in the order of the file; of several entries with one id, the first counts.

    Raises:
        InvalidInput: the file is missing, unreadable or empty, lacks a column, or has an invalid
            id or split.
    """
    path = Path(path)
    if not path.is_file():
        raise InvalidInput(
            f"catalogue {path} does not exist; "
            "give a parquet, CSV, TSV or JSONL file, or a text file with one URL per line"
        )
    unit = "row" if path.suffix.lower() == ".parquet" else "line"
    sources: dict[str, VideoSource] = {}
    try:
        for entry in _iter_entries(path):
            try:
                source = _parse_entry(entry)
            except _InvalidEntry as error:
                raise InvalidInput(f"{path}, {unit} {entry.number}: {error}") from None
            sources.setdefault(source.source_id, source)
    except (UnicodeDecodeError, csv.Error, json.JSONDecodeError, pyarrow.ArrowException) as error:
        suffix = path.suffix.lower()
        file_format = suffix[1:] if suffix in _TABLE_SUFFIXES else "text with one url a line"
        raise InvalidInput(f"catalogue {path} cannot be read as {file_format}: {error}") from error
    if not sources:
        raise InvalidInput(f"catalogue {path} is empty; it needs at least one video")
    return list(sources.values())


def _parse_entry(entry: _CatalogueEntry) -> VideoSource:
    text = "" if entry.value is None else str(entry.value).strip()
    if not text:
        raise _InvalidEntry(f"`{entry.column}` is empty; give it a value, or remove the entry")
    if entry.column != "url" and not YOUTUBE_ID.fullmatch(text):
        raise _InvalidEntry(
            f"{entry.column} is {text[:40]!r}, but a YouTube id has 11 letters, digits, "
            "'-' or '_'; put URLs into a column `url`"
        )
    return VideoSource(*identify(text), _parse_split(entry.split))


def _parse_split(value: Any) -> Split | None:
    name = "" if value is None else str(value).strip().lower()
    if not name:
        return None
    try:
        return Split(name)
    except ValueError:
        raise _InvalidEntry(
            f"split is {value!r}, but must be one of {', '.join(Split)} or empty"
        ) from None


def _iter_entries(path: Path) -> Iterator[_CatalogueEntry]:
    match path.suffix.lower():
        case ".parquet":
            return _iter_parquet(path)
        case ".csv":
            return _iter_table(path, ",")
        case ".tsv":
            return _iter_table(path, "\t")
        case ".jsonl" | ".ndjson":
            return _iter_jsonl(path)
        case _:
            return _iter_lines(path)


def _iter_parquet(path: Path) -> Iterator[_CatalogueEntry]:
    """Yield the rows of a parquet file, reading a batch at a time and only the columns needed."""
    with pyarrow.parquet.ParquetFile(path) as file:
        names = file.schema_arrow.names
        column = _find_column(names, path)
        columns = [column, *({"split"} & set(names))]
        number = 0
        for batch in file.iter_batches(columns=columns):
            values = batch.column(column).to_pylist()
            splits = batch.column("split").to_pylist() if "split" in names else [None] * len(values)
            for value, split in zip(values, splits, strict=True):
                number += 1
                yield _CatalogueEntry(number, column, value, split)


def _iter_table(path: Path, delimiter: str) -> Iterator[_CatalogueEntry]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter)
        header = next(reader, [])
        if len(header) == 1:  # some clip lists separate the header by commas, the rest by tabs
            header = header[0].split(",")
        names = [name.strip() for name in header]
        if not any(names):
            return
        column = _find_column(names, path)
        for values in reader:
            if any(value.strip() for value in values):
                row = dict(zip(names, values, strict=False))
                yield _CatalogueEntry(reader.line_num, column, row.get(column), row.get("split"))


def _iter_jsonl(path: Path) -> Iterator[_CatalogueEntry]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                entry = json.loads(line)
                if not isinstance(entry, dict):
                    raise InvalidInput(
                        f"{path}, line {number}: it holds a {type(entry).__name__}, "
                        "but must hold an object with `url` or `id`"
                    )
                column = _find_column(entry, path, number)
                yield _CatalogueEntry(number, column, entry[column], entry.get("split"))


def _iter_lines(path: Path) -> Iterator[_CatalogueEntry]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip() and not line.startswith("#"):
                yield _CatalogueEntry(number, "url", line, None)


def _find_column(
    names: Mapping[str, Any] | list[str], path: Path, number: int | None = None
) -> str:
    for column in SOURCE_COLUMNS:
        if column in names:
            return column
    location = f"{path}, line {number}" if number else f"{path}"
    raise InvalidInput(
        f"{location}: there is no column {', '.join(SOURCE_COLUMNS)}; "
        f"found: {', '.join(names) or 'none'}"
    )
