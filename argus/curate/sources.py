"""Reads a catalogue: which videos there are, under which ids. Fetches nothing.

Parquet, CSV, TSV and JSONL with a column `url`, `id` or `video_id` (YouTube ids) and an optional `split`;
any other file is one url or YouTube id a line. So 360-1M's parquet (`id`), the authors' clip lists (TSV with `category, video_id, clip`,
many lines per video) and an exported manifest (`argus.dataset.manifest`) are catalogues as they are.
"""

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from argus.curate.records import VideoSource
from argus.dataset.ids import YOUTUBE_ID, identify
from argus.errors import InvalidInput
from schemas.names import Split

COLUMNS = ("url", "id", "video_id")
Entry = tuple[
    int, str, Any, Any
]  # number of the line or row, from 1; the column; what it holds; the split as written


def read_catalogue(path: Path | str) -> list[VideoSource]:
    """The videos of a catalogue in its order; of videos with the same id the first one counts.

    Raises InvalidInput for a missing or unreadable file, an empty catalogue, a missing column, a bad id or a bad split.
    """
    path = Path(path)
    if not path.is_file():
        raise InvalidInput(
            f"catalogue {path} does not exist; give a parquet, CSV, TSV or JSONL file, or one url a line"
        )
    unit = "row" if path.suffix.lower() == ".parquet" else "line"
    sources: dict[str, VideoSource] = {}
    try:
        for number, column, value, split in _entries(path):
            try:
                source = _source(column, value, split)
            except _BadEntry as error:
                raise InvalidInput(f"{path}, {unit} {number}: {error}") from None
            sources.setdefault(source.source_id, source)
    except (UnicodeDecodeError, csv.Error, json.JSONDecodeError, pyarrow.ArrowException) as error:
        raise InvalidInput(
            f"catalogue {path} cannot be read as {path.suffix.lstrip('.') or 'text'}: {error}"
        ) from error
    if not sources:
        raise InvalidInput(f"catalogue {path} is empty; it needs at least one video")
    return list(sources.values())


class _BadEntry(Exception):
    """What is wrong with an entry; where it stands is added once."""


def _source(column: str, value: Any, split: Any) -> VideoSource:
    text = "" if value is None else str(value).strip()
    if not text:
        raise _BadEntry(f"`{column}` is empty; remove it, or give it a value")
    if column != "url" and not YOUTUBE_ID.fullmatch(text):
        raise _BadEntry(
            f"{column} is {text[:40]!r}, but a YouTube id has 11 letters, digits, '-' or '_'; put urls into a column `url`"
        )
    return VideoSource(*identify(text), _split(split))


def _split(value: Any) -> Split | None:
    name = "" if value is None else str(value).strip().lower()
    if not name:
        return None
    try:
        return Split(name)
    except ValueError:
        raise _BadEntry(
            f"split is {value!r}, but must be one of {', '.join(Split)} or empty"
        ) from None


def _entries(path: Path) -> Iterator[Entry]:
    match path.suffix.lower():
        case ".parquet":
            return _parquet_entries(path)
        case ".csv":
            return _table_entries(path, ",")
        case ".tsv":
            return _table_entries(path, "\t")
        case ".jsonl" | ".ndjson":
            return _jsonl_entries(path)
        case _:
            return _line_entries(path)


def _parquet_entries(path: Path) -> Iterator[Entry]:
    """A batch at a time, and only the columns that count."""
    with pyarrow.parquet.ParquetFile(path) as file:
        names = file.schema_arrow.names
        column = _column(names, path)
        wanted = [column, *({"split"} & set(names))]
        number = 0
        for batch in file.iter_batches(columns=wanted):
            values = batch.column(column).to_pylist()
            splits = batch.column("split").to_pylist() if "split" in names else [None] * len(values)
            for value, split in zip(values, splits, strict=True):
                number += 1
                yield number, column, value, split


def _table_entries(path: Path, delimiter: str) -> Iterator[Entry]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, delimiter=delimiter)
        header = next(lines, [])
        if len(header) == 1:
            header = header[0].split(
                ","
            )  # a clip list's header may have commas where its lines have tabs
        names = [name.strip() for name in header]
        if not any(names):
            return
        column = _column(names, path)
        for values in lines:
            if any(value.strip() for value in values):
                entry = dict(zip(names, values, strict=False))
                yield lines.line_num, column, entry.get(column), entry.get("split")


def _jsonl_entries(path: Path) -> Iterator[Entry]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                entry = json.loads(line)
                if not isinstance(entry, dict):
                    raise InvalidInput(
                        f"{path}, line {number}: holds a {type(entry).__name__}, but must hold an object with `url` or `id`"
                    )
                column = _column(entry, path, number)
                yield number, column, entry[column], entry.get("split")


def _line_entries(path: Path) -> Iterator[Entry]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip() and not line.startswith("#"):
                yield number, "url", line, None


def _column(names: Mapping[str, Any] | list[str], path: Path, number: int | None = None) -> str:
    for column in COLUMNS:
        if column in names:
            return column
    where = f"{path}, line {number}" if number else f"{path}"
    raise InvalidInput(
        f"{where}: no column `url`, `id` or `video_id`; found: {', '.join(names) or 'none'}"
    )
