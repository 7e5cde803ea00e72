"""Reads a catalogue: which videos there are, under which ids. Fetches nothing.

Parquet, CSV, TSV and JSONL with a column `url`, `id` or `video_id` (YouTube ids) and an optional `split`;
any other file is one url or YouTube id a line.
"""

import csv
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit, urlunsplit

import pyarrow
import pyarrow.parquet

from argus.curate.records import VideoSource
from argus.errors import InvalidInput
from schemas.names import Split

COLUMNS = ("url", "id", "video_id")
YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_YOUTUBE_HOSTS = frozenset(
    {"youtube.com", "www.youtube.com", "m.youtube.com", "music.youtube.com", "www.youtube-nocookie.com", "youtube-nocookie.com"}
)
_YOUTUBE_PATHS = frozenset({"embed", "shorts", "live", "v"})
_DEFAULT_PORTS = {"http": 80, "https": 443}

Row = tuple[str, str, Any]  # where it stands, the url or id, the split as written


def read_catalogue(path: Path | str) -> list[VideoSource]:
    """The videos of a catalogue in its order; of videos with the same id the first one counts.

    Raises InvalidInput for a missing or unreadable file, an empty catalogue, a missing column, a bad id or a bad split.
    """
    path = Path(path)
    if not path.is_file():
        raise InvalidInput(f"catalogue {path} does not exist; give a parquet, CSV, TSV or JSONL file, or one url a line")
    sources: dict[str, VideoSource] = {}
    try:
        for where, text, split in _rows(path):
            source = _source(text, split, where)
            sources.setdefault(source.source_id, source)
    except (UnicodeDecodeError, csv.Error, json.JSONDecodeError, pyarrow.ArrowException) as error:
        raise InvalidInput(f"catalogue {path} cannot be read as {path.suffix.lstrip('.') or 'text'}: {error}") from error
    if not sources:
        raise InvalidInput(f"catalogue {path} is empty; it needs at least one video")
    return list(sources.values())


def assign_split(source_id: str) -> Split:
    """The split of a video whose catalogue sets none: 80% train, 10% val, 10% test, by a hash of its id."""
    digest = hashlib.blake2b(source_id.encode(), digest_size=8).digest()
    share = int.from_bytes(digest, "big") / 2**64
    return Split.TRAIN if share < 0.8 else Split.VAL if share < 0.9 else Split.TEST


def identify(text: str) -> tuple[str, str]:
    """(source_id, url) of a url or a bare YouTube id."""
    text = text.strip()
    youtube = text if YOUTUBE_ID.fullmatch(text) else _youtube_id(_parsed(text))
    if youtube:
        return f"youtube:{youtube}", f"https://www.youtube.com/watch?v={youtube}"
    url = normalised(text)
    return f"url:{hashlib.sha256(url.encode()).hexdigest()[:16]}", url


def normalised(url: str) -> str:
    """The url with scheme and host in lower case, without a default port and without a fragment; text that is no http(s) url as it is."""
    parts = _parsed(url)
    if parts is None or parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        return url
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    port = f":{parts.port}" if parts.port not in (None, _DEFAULT_PORTS[parts.scheme]) else ""
    return urlunsplit((parts.scheme, f"{user}{host}{port}", parts.path or "/", parts.query, ""))


def _parsed(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises when it is no number
    except ValueError:
        return None
    return parts


def _youtube_id(parts: SplitResult | None) -> str | None:
    if parts is None or parts.scheme not in _DEFAULT_PORTS:
        return None
    names = parts.path.strip("/").split("/")
    found = ""
    if parts.hostname == "youtu.be":
        found = names[0]
    elif parts.hostname in _YOUTUBE_HOSTS:
        found = names[1] if len(names) > 1 and names[0] in _YOUTUBE_PATHS else parse_qs(parts.query).get("v", [""])[0] if names == ["watch"] else ""
    return found if YOUTUBE_ID.fullmatch(found) else None


def _source(text: str, split: Any, where: str) -> VideoSource:
    source_id, url = identify(text)
    return VideoSource(source_id, url, _split(split, where))


def _split(value: Any, where: str) -> Split | None:
    name = "" if value is None else str(value).strip().lower()
    if not name:
        return None
    try:
        return Split(name)
    except ValueError:
        raise InvalidInput(f"{where}: split is {value!r}, but must be one of {', '.join(Split)} or empty") from None


def _rows(path: Path) -> Iterator[Row]:
    match path.suffix.lower():
        case ".parquet":
            return _parquet_rows(path)
        case ".csv":
            return _table_rows(path, ",")
        case ".tsv":
            return _table_rows(path, "\t")
        case ".jsonl" | ".ndjson":
            return _jsonl_rows(path)
        case _:
            return _line_rows(path)


def _parquet_rows(path: Path) -> Iterator[Row]:
    names = pyarrow.parquet.read_schema(path).names
    column = _column(names, path)
    table = pyarrow.parquet.read_table(path, columns=[column, *({"split"} & set(names))])
    splits = table["split"] if "split" in names else [None] * len(table)
    for number, (value, split) in enumerate(zip(table[column], splits, strict=True), start=1):
        text = value.as_py()
        yield _row(f"{path}, row {number}", column, text, split.as_py() if split is not None else None)


def _table_rows(path: Path, delimiter: str) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, delimiter=delimiter)
        header = [name.strip() for name in next(lines, [])]
        if not header:
            return
        column = _column(header, path)
        for values in lines:
            if any(value.strip() for value in values):
                yield _mapped(dict(zip(header, values, strict=False)), column, f"{path}, line {lines.line_num}")


def _jsonl_rows(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                values = json.loads(line)
                if not isinstance(values, dict):
                    raise InvalidInput(f"{path}, line {number}: holds a {type(values).__name__}, but must hold an object with `url` or `id`")
                yield _mapped(values, _column(values, path, number), f"{path}, line {number}")


def _line_rows(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip() and not line.startswith("#"):
                yield f"{path}, line {number}", line.strip(), None


def _mapped(values: Mapping[str, Any], column: str, where: str) -> Row:
    return _row(where, column, values.get(column), values.get("split"))


def _row(where: str, column: str, value: Any, split: Any) -> Row:
    text = "" if value is None else str(value).strip()
    if not text:
        raise InvalidInput(f"{where}: `{column}` is empty; remove the line, or give it a value")
    if column != "url" and not YOUTUBE_ID.fullmatch(text):
        raise InvalidInput(f"{where}: {column} is {text[:40]!r}, but a YouTube id has 11 letters, digits, '-' or '_'; put urls into a column `url`")
    return where, text, split


def _column(names: Mapping[str, Any] | list[str], path: Path, number: int | None = None) -> str:
    for column in COLUMNS:
        if column in names:
            return column
    where = f"{path}, line {number}" if number else f"{path}"
    raise InvalidInput(f"{where}: no column `url`, `id` or `video_id`; found: {', '.join(names) or 'none'}")
