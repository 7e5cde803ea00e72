"""Conversion of `SourceRow` to and from rows of the index (Arrow) and staged results (JSON)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from fractions import Fraction
from functools import cache
from typing import Any

import pyarrow as pa
from pydantic import TypeAdapter, ValidationError

from argus.dataset.migration import migrate_row, migrate_staged_row
from argus.dataset.records import CuratedVideo, Provenance, SourceRow
from argus.errors import InvalidInput
from argus.media import MediaInfo
from schemas.arrow import INDEX_SCHEMA

_FRACTIONS = {
    "fps": ("fps_num", "fps_den"),
    "pixel_aspect": ("pixel_aspect_num", "pixel_aspect_den"),
}
_EXCLUDED = {"clips": {"__all__": {"file"}}}  # a file of the machine that processed the video
_NAMES = frozenset(field.name for field in fields(SourceRow))


def add_provenance(video: CuratedVideo, provenance: Provenance, decided_at: datetime) -> SourceRow:
    """Return the row of the index for a curated video."""
    own = {field.name: getattr(video, field.name) for field in fields(CuratedVideo)}
    return SourceRow(**own, **vars(provenance), decided_at=decided_at)


def rows_to_arrow(rows: Sequence[SourceRow], sequence: int) -> pa.Table:
    """Return the table that a commit appends to the index."""
    values = [{**_to_values(row), "sequence": sequence} for row in rows]
    return pa.Table.from_pylist(values, schema=INDEX_SCHEMA).replace_schema_metadata(None)


def row_from_values(values: Mapping[str, Any]) -> SourceRow:
    """Return the record of a row of the index; columns without a field are left out.

    Args:
        values: a row of a table as a dict (`to_pylist`), or the fields of a record as plain values.
    """
    return _adapter().validate_python(_to_fields(migrate_row(values)))


def row_to_json(row: SourceRow) -> str:
    """Return the row as JSON text."""
    return _adapter().dump_json(row, exclude=_EXCLUDED).decode()


def row_from_json(text: str | bytes) -> SourceRow:
    """Return the row that `row_to_json`, or version 1, wrote.

    Raises:
        InvalidInput: it has a name that is unknown, or a value that is out of range.
    """
    found = migrate_staged_row(json.loads(text))
    if unknown := set(found) - _NAMES:
        raise _staged_row_error(found, f"the unknown field {', '.join(sorted(unknown))}")
    try:  # bytes are base64 in JSON only
        return _adapter().validate_json(json.dumps(_to_fields(found), default=str))
    except ValidationError as error:
        raise _staged_row_error(found, f"an unknown field or value: {error}") from error


def _staged_row_error(values: Mapping[str, Any], fault: str) -> InvalidInput:
    return InvalidInput(
        f"the staged result of {values.get('source_id')} has {fault}; if a later version of argus "
        "wrote it, use that version, or delete the folder `staging` of the dataset"
    )


def _to_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in values.items() if name in _NAMES}
    if isinstance(found.get("media"), Mapping) and "fps" not in found["media"]:
        found["media"] = _join_fractions(found["media"])
    for name in ("measured_filters", "networks"):  # null in rows of version 1
        found[name] = found.get(name) or ()
    if isinstance(time := found.get("decided_at"), datetime):
        found["decided_at"] = time.astimezone(UTC)  # Arrow's time zone does not pass the sandbox
    return found


def _to_values(row: SourceRow) -> dict[str, Any]:
    values: dict[str, Any] = _adapter().dump_python(row, exclude=_EXCLUDED)
    if row.media:
        values["media"] = _split_fractions(row.media, values["media"])
    return values


def _split_fractions(media: MediaInfo, values: dict[str, Any]) -> dict[str, Any]:
    for name, (numerator, denominator) in _FRACTIONS.items():
        fraction = getattr(media, name)
        values[numerator], values[denominator] = fraction.numerator, fraction.denominator
    return values


def _join_fractions(media: Mapping[str, Any]) -> dict[str, Any]:
    parts = {part for names in _FRACTIONS.values() for part in names}
    values = {name: value for name, value in media.items() if name not in parts}
    for name, (numerator, denominator) in _FRACTIONS.items():
        values[name] = Fraction(media[numerator], media[denominator])
    return values


@cache
def _adapter() -> TypeAdapter[SourceRow]:
    return TypeAdapter(SourceRow)
