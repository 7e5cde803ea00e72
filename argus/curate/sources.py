"""Reader of catalogues: lists of videos to curate. Nothing is fetched here.

Parquet, CSV, TSV and JSONL files have a column `url`, `id` or `video_id` (YouTube ids), and may
have a column `split`. Any other file has one URL or YouTube id per line. This covers the parquet of
360-1M (`id`), its authors' clip lists (TSV with `category, video_id, clip`, several lines per
video) and exported manifests (`argus.dataset.export_manifest`).

An entry without a value is skipped and counted. Any other fault of an entry refuses the catalogue,
with the numbers of the first lines: a misread line would become a source that stays.
"""

import csv
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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

MAX_URL_LENGTH = 8192

_USED_COLUMNS = (*SOURCE_COLUMNS, "split")
_TABLE_SUFFIXES = frozenset({".parquet", ".csv", ".tsv", ".jsonl", ".ndjson"})
_MAX_NAMED_FAULTS = 5
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]*\S)?")
"""A URL of any scheme; those that cannot be fetched fail with `bad_url` and do not stop others."""


@dataclass(frozen=True)
class Catalogue:
    """The videos of a catalogue.

    Attributes:
        sources: in the order of the file; of several entries with one id, the first.
        empty_entries: number of entries without a URL or id, which are skipped.
    """

    sources: tuple[VideoSource, ...]
    empty_entries: int = 0


class _CatalogueEntry(NamedTuple):
    """A raw entry of a catalogue.

    Attributes:
        number: line or row, from 1.
        column: one of `SOURCE_COLUMNS`, or "line" in a list.
        value: the value of that column.
        split: the value of the column `split`; None without one.
        fault: why the entry cannot be read; empty if it can.
    """

    number: int
    column: str = ""
    value: Any = None
    split: Any = None
    fault: str = ""


class _InvalidEntry(Exception):
    """Raised for an invalid entry; the caller adds its file and line."""


def read_catalogue(path: Path | str) -> Catalogue:
    """Read the videos of a catalogue.

    Args:
        path: a parquet, CSV, TSV or JSONL file, or a text file with one URL or YouTube id per line.

    Raises:
        InvalidInput: the file is missing, unreadable or empty, lacks a column, or has entries that
            are no URL or id, or an invalid split. The message names the first of them.
    """
    path = Path(path)
    if not path.is_file():
        raise InvalidInput(
            f"catalogue {path} does not exist; "
            "give a parquet, CSV, TSV or JSONL file, or a text file with one URL per line"
        )
    sources: dict[str, VideoSource] = {}
    faults: list[str] = []
    empty = invalid = 0
    try:
        for entry in _iter_entries(path):
            try:
                source = _parse_entry(entry)
            except _InvalidEntry as error:
                invalid += 1
                faults += [f"{entry.number}: {error}"] if invalid <= _MAX_NAMED_FAULTS else []
                continue
            if source is None:
                empty += 1
            else:
                sources.setdefault(source.source_id, source)
    except (UnicodeDecodeError, pyarrow.ArrowException) as error:
        suffix = path.suffix.lower()
        file_format = suffix[1:] if suffix in _TABLE_SUFFIXES else "text with one url a line"
        raise InvalidInput(f"catalogue {path} cannot be read as {file_format}: {error}") from error
    if invalid:
        raise InvalidInput(_describe_faults(path, faults, invalid))
    if not sources:
        found = f": none of its {empty:,} entries has a value" if empty else ""
        raise InvalidInput(f"catalogue {path} is empty{found}; it needs at least one video")
    return Catalogue(tuple(sources.values()), empty)


def _describe_faults(path: Path, faults: Sequence[str], count: int) -> str:
    unit = "row" if path.suffix.lower() == ".parquet" else "line"
    if count == 1:
        return f"{path}, {unit} {faults[0]}"
    more = f"; and {count - len(faults):,} more" if count > len(faults) else ""
    listed = "; ".join(f"{unit} {fault}" for fault in faults)
    return f"{path} has {count:,} invalid {unit}s: {listed}{more}"


def _parse_entry(entry: _CatalogueEntry) -> VideoSource | None:
    """Return the video of an entry; None if it is empty."""
    if entry.fault:
        raise _InvalidEntry(entry.fault)
    if not isinstance(entry.value, str | None):
        raise _InvalidEntry(
            f"{entry.column} is {entry.value!r:.40}, a {type(entry.value).__name__}, "
            "but must be text"
        )
    text = (entry.value or "").strip()
    if not text:
        return None
    if not YOUTUBE_ID.fullmatch(text):
        _check_url(entry.column, text)
    return VideoSource(*identify(text), _parse_split(entry.split))


def _check_url(column: str, text: str) -> None:
    """Raise _InvalidEntry for text of a column that is neither a YouTube id nor a URL."""
    if column in ("id", "video_id"):
        raise _InvalidEntry(
            f"{column} is {text[:40]!r}, but a YouTube id has 11 letters, digits, "
            "'-' or '_'; put URLs into a column `url`"
        )
    if not _URL.fullmatch(text):
        raise _InvalidEntry(
            f"{text[:40]!r} is neither a URL such as https://host/path nor a YouTube id; "
            "tables need the suffix .csv, .tsv, .jsonl or .parquet"
        )
    if column == "line" and len(text.split()) > 1:
        raise _InvalidEntry(
            f"{text[:40]!r} is more than a URL; give one per line, with %20 in place of a space, "
            "or a .csv or .tsv with the header `url`"
        )
    if len(text) > MAX_URL_LENGTH:
        raise _InvalidEntry(
            f"the URL {text[:40]!r}… has {len(text):,} characters, but at most "
            f"{MAX_URL_LENGTH:,} are allowed"
        )


def _parse_split(value: Any) -> Split | None:
    name = "" if value is None else str(value).strip().lower()
    if not name:
        return None
    try:
        return Split(name)
    except ValueError:
        raise _InvalidEntry(
            f"split is {value!r:.40}, but must be one of {', '.join(Split)} or empty"
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
    """Yield the rows of a table.

    Each row has a value for each column of the header; what it has beyond them must be empty. Only
    values of CSV may hold line breaks: titles in TSV are often written with single double quotes.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, before = _read_header(file, delimiter)
        if not header:
            return
        column = _find_column(header, path)
        reader = csv.reader(file, delimiter=delimiter, strict=delimiter == ",")
        number = before + 1
        try:
            for values in reader:
                end = before + reader.line_num
                if delimiter == "\t" and end > number:
                    fault = (
                        f"a double quote opens a value that ends in line {end}; remove the quote"
                    )
                    yield _CatalogueEntry(number, fault=fault)
                elif any(value.strip() for value in values):
                    yield _to_entry(number, column, header, values)
                number = end + 1
        except csv.Error as error:
            yield _CatalogueEntry(number, fault=f"{error}; check the double quotes")


def _read_header(lines: Iterator[str], delimiter: str) -> tuple[list[str], int]:
    """Return the names of a table's columns, and the number of lines that were read."""
    for number, line in enumerate(lines, start=1):
        # Some clip lists separate the names by commas and the rest by tabs.
        found = csv.reader([line], delimiter=delimiter if delimiter in line else ",")
        names = [name.strip(' "\ufeff') for name in next(found, [])]
        while names and not names[-1]:
            names.pop()
        if names:
            return names, number
    return [], 0


def _to_entry(
    number: int, column: str, header: Sequence[str], values: Sequence[str]
) -> _CatalogueEntry:
    if len(values) < len(header) or any(value.strip() for value in values[len(header) :]):
        mend = (
            "write the delimiter for each empty value too"
            if len(values) < len(header)
            else "put values that hold the delimiter into double quotes"
        )
        fault = (
            f"it has {len(values)} value{'s' * (len(values) != 1)}, but the header has "
            f"{len(header)}; {mend}"
        )
        return _CatalogueEntry(number, fault=fault)
    row = dict(zip(header, values, strict=False))
    return _CatalogueEntry(number, column, row[column], row.get("split"))


def _iter_jsonl(path: Path) -> Iterator[_CatalogueEntry]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield _parse_json(number, line)


def _parse_json(number: int, line: str) -> _CatalogueEntry:
    try:
        entry = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        return _CatalogueEntry(number, fault=f"it is not valid JSON: {error}")
    if not isinstance(entry, dict):
        fault = f"it holds a {type(entry).__name__}, but must hold an object with `url` or `id`"
        return _CatalogueEntry(number, fault=fault)
    column = next((name for name in SOURCE_COLUMNS if name in entry), None)
    if column is None:
        return _CatalogueEntry(number, fault=_describe_columns(entry))
    return _CatalogueEntry(number, column, entry[column], entry.get("split"))


def _iter_lines(path: Path) -> Iterator[_CatalogueEntry]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip() and not line.lstrip().startswith("#"):
                yield _CatalogueEntry(number, "line", line)


def _find_column(names: Sequence[str], path: Path) -> str:
    """Return the column that identifies videos."""
    for column in _USED_COLUMNS:
        if names.count(column) > 1:
            raise InvalidInput(
                f"{path}: {names.count(column)} columns are named `{column}`; rename all but one"
            )
    for column in SOURCE_COLUMNS:
        if column in names:
            return column
    raise InvalidInput(f"{path}: {_describe_columns(names)}")


def _describe_columns(names: Mapping[str, Any] | Sequence[str]) -> str:
    found = ", ".join(itertools.islice(names, 20))[:200]
    return f"there is no column {' or '.join(SOURCE_COLUMNS)}; found: {found or 'none'}"
