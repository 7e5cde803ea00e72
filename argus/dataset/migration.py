"""Reading what earlier versions stored: index columns, score names, recipes, run configurations.

Version 1 is the index without `decided_at`; version 2 describes less of a file, version 3 less of
fetches and failures. Nothing is rewritten: old files are translated when they are read, before
anything is compared or hashed. A stored name that is neither current nor listed here is an error,
so that it never turns into a default.
"""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from argus.errors import InvalidInput
from argus.media import SphericalMetadata
from schemas.arrow import INDEX_SCHEMA
from schemas.config import ClipSettings, FilterSettings, HighQuality, LearnedThresholds
from schemas.names import JobKind, Layout

_COLUMNS = {"decided": "decided_at", "scored": "measured_filters", "seconds": "stage_seconds"}

RENAMED_SCORES = {
    ("shots", "worst"): "max_score",
    ("shots", "weakest"): "min_cut_score",
    ("motion", "most_share"): "second_largest_share",
    ("text", "staying"): "static_share",
    ("seam", "centre_value"): "center_value",
    ("seam", "centre_ratio"): "center_ratio",
}
"""Current names of renamed scores, by the filter and the name in version 1."""

_RECIPE_KEYS = {"policy": "filters", "filters": "filter_versions"}
_RECIPE_PARTS = {"version", "clip", "filters", "filter_versions", "learned"}
_ADDED_FILTER_SETTINGS = {"repeated_share", "changes_similarity"}  # since version 1
_REPLACED_THRESHOLDS = {"text_db_share": "text_ocr_overlay_share"}
"""Thresholds of learned scorers that were replaced, and that of the new one: of another measure."""

_RECIPE_SETTINGS = {
    "clip": ClipSettings.model_fields,
    "filters": FilterSettings.model_fields,
    "filters.high_quality": HighQuality.model_fields,
    "filters.learned": LearnedThresholds.model_fields,
}

_SETTINGS = {
    JobKind.CURATE: {
        "policy": "filters",
        "wave_size": "chunk_size",
        "in_flight": "max_concurrent_videos",
        "judge_timeout_s": "video_timeout_s",
        "fetch.at_once": "fetch.max_concurrent_downloads",
    }
}

_DECLARATIONS = {
    Layout.MONO_ERP: SphericalMetadata(),
    Layout.STEREO_TB: SphericalMetadata(stereo_mode="top-bottom"),
    Layout.STEREO_SBS: SphericalMetadata(stereo_mode="left-right"),
    Layout.HALF_ERP: SphericalMetadata(projection="half_equirectangular"),
    Layout.CUBEMAP: SphericalMetadata(projection="cubemap"),
    Layout.EAC: SphericalMetadata(projection="eac"),
    Layout.DUAL_FISHEYE: SphericalMetadata(projection="fisheye"),
    Layout.FLAT: SphericalMetadata(projection="rectilinear"),
    Layout.PARTIAL: SphericalMetadata(projection="mesh"),
    Layout.UNKNOWN: SphericalMetadata(projection="unknown"),
}
"""Metadata that declares each layout: all that a row of version 1 knows of a file's metadata."""


def rename_column(name: str) -> str:
    """Return the current name of an index column."""
    return _COLUMNS.get(name, name)


def check_columns(names: Iterable[str], file: str) -> None:
    """Raise InvalidInput for an index file with a column that no version of the index has."""
    if unknown := set(map(rename_column, names)) - set(INDEX_SCHEMA.names):
        raise InvalidInput(
            f"{file} has the unknown column {', '.join(sorted(unknown))}; a later version of argus "
            "wrote it: use that version, or another dataset"
        )


def migrate_table(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a part of the index, as stored, with the current columns and score names.

    A file may hold rows of both versions: compaction merges them. Columns that it lacks are null.

    Args:
        table: columns of one index file, under the names in the file.
        schema: the wanted columns, a projection of `schemas.arrow.INDEX_SCHEMA`.
    """
    old = {current: name for name, current in _COLUMNS.items() if name in table.column_names}
    own = set(table.column_names)
    columns = {}
    for field in schema:
        names = [name for name in (field.name, old.get(field.name)) if name in own]
        parts = [_cast(table[name], field.type) for name in names]
        columns[field.name] = _coalesce(parts) if parts else pa.nulls(len(table), field.type)
    for name in {"scores", "clips"} & set(columns):
        columns[name] = _migrate_score_names(columns[name])
    return pa.table(columns, schema=schema)


def migrate_row(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a row, as a dict of the current columns, with its media complete.

    Version 1 stored neither pixel aspect, rotation nor spherical metadata. They are derived from
    the declared layout and the stored score `layout.pixel_aspect`, which a decision needs and no
    more. Version 2 stored the pixel aspect of the frames before rotation. What it did not store
    has the default of `MediaInfo`.
    """
    found = {rename_column(name): value for name, value in values.items()}
    media = found.get("media")
    if isinstance(media, Mapping) and media.get("irregularity") is None:
        if "fps_num" in media and media.get("pixel_aspect_num") is None:
            media = {**media, **_derive_media(media, found)}
        found["media"] = _complete_media(media)
    return found


def migrate_staged_row(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a staged row (JSON), which version 1 wrote with other names."""
    found = migrate_row(values)
    clips = found.get("clips") or ()
    for record in (found, *clips):
        for score in record.get("scores") or ():
            score["name"] = RENAMED_SCORES.get((score["filter"], score["name"]), score["name"])
    for name in ("measured_filters", "networks"):
        found[name] = found.get(name) or ()
    return found


def migrate_recipe(parts: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the parts of a stored recipe under the current names.

    Args:
        parts: the parsed JSON.
        name: of the recipe, for the error message.

    Raises:
        InvalidInput: it has a part or a setting that is unknown, or a limit for a learned scorer
            that was replaced.
    """
    keys = _RECIPE_KEYS if "policy" in parts else {}
    found = {keys.get(name, name): value for name, value in parts.items()}
    if "learned" in _get_nested(found, "filters"):
        learned = _replace_thresholds(found["filters"]["learned"], f"the stored recipe {name}")
        found["filters"] = {**found["filters"], "learned": learned}
    unknown = set(found) - _RECIPE_PARTS
    for group, names in _RECIPE_SETTINGS.items():
        unknown |= {f"{group}.{name}" for name in set(_get_nested(found, group)) - set(names)}
    if unknown:
        raise InvalidInput(
            f"the stored recipe {name} has the unknown setting {', '.join(sorted(unknown))}; "
            "a later version of argus wrote it: use that version, or delete the file to process "
            "its videos anew"
        )
    if keys:  # at first, these versions were not written
        found["filter_versions"] = {"samples": 1, "layout": 1, **found.get("filter_versions", {})}
    return found


def spell_recipe_v1(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a recipe under the names of version 1.

    A recipe's digest is taken of this spelling. So a dataset's videos, staged results and manifests
    keep their recipe when a setting is renamed, or added with its default.
    """
    keys = {current: name for name, current in _RECIPE_KEYS.items()}
    filters = {
        name: value
        for name, value in parts["filters"].items()
        if name not in _ADDED_FILTER_SETTINGS
        or value != FilterSettings.model_fields[name].get_default()
    }
    filters["learned"] = _restore_thresholds(filters["learned"])
    return {keys.get(name, name): value for name, value in {**parts, "filters": filters}.items()}


def migrate_config(kind: JobKind, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a run's stored configuration under the current setting names."""
    found = {
        name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()
    }
    for old, current in _SETTINGS.get(kind, {}).items():
        source, target = _group(found, old), _group(found, current)
        name = old.rpartition(".")[2]
        if source is not None and target is not None and name in source:
            target[current.rpartition(".")[2]] = source.pop(name)
    filters = found.get("filters")
    if kind is JobKind.CURATE and isinstance(filters, Mapping) and "learned" in filters:
        learned = _replace_thresholds(filters["learned"], "the stored configuration")
        found["filters"] = {**filters, "learned": learned}
    return found


def _replace_thresholds(learned: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """Return the thresholds of learned scorers with the current ones in place of replaced ones.

    Raises:
        InvalidInput: a replaced threshold has a value, which says nothing about the new measure.
    """
    for old, current in _REPLACED_THRESHOLDS.items():
        if learned.get(old) is not None:
            raise InvalidInput(
                f"{owner} sets filters.learned.{old} to {learned[old]}, but its scorer was "
                f"replaced by that of filters.learned.{current}, which measures something else; "
                "use an earlier version of argus, or delete the file to process its videos anew"
            )
    return {_REPLACED_THRESHOLDS.get(name, name): value for name, value in learned.items()}


def _restore_thresholds(learned: Mapping[str, Any]) -> dict[str, Any]:
    """Return the thresholds of learned scorers under the names of version 1, where unset."""
    old = {current: name for name, current in _REPLACED_THRESHOLDS.items()}
    return {
        old.get(name, name) if value is None else name: value for name, value in learned.items()
    }


def _group(values: dict[str, Any], name: str) -> dict[str, Any] | None:
    """Return the mapping that holds a dotted setting; None if there is none."""
    group = name.rpartition(".")[0]
    found = values.get(group) if group else values
    return found if isinstance(found, dict) else None


def _get_nested(parts: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the mapping of a dotted name; an empty one if it is missing."""
    for part in name.split("."):
        parts = parts.get(part, {})
    return parts


def _derive_media(media: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    declared = row.get("layout_declared")
    aspects = (
        Fraction(score["value"])
        for score in row.get("scores") or ()
        if (score["filter"], score["name"]) == ("layout", "pixel_aspect")
    )
    aspect = next(aspects, Fraction(1))  # of the frames as shown, so without a rotation
    spherical = _DECLARATIONS[Layout(declared)] if declared else None
    return {
        "duration_s": float(media["frames"] * media["fps_den"] / max(1, media["fps_num"])),
        "rotation": 0,
        "pixel_aspect_num": aspect.numerator,
        "pixel_aspect_den": aspect.denominator,
        "is_variable_rate": False,
        "spherical": vars(spherical) if spherical else None,
    }


def _complete_media(media: Mapping[str, Any]) -> dict[str, Any]:
    """Return the media of a row of version 2 with the pixel aspect after rotation.

    Values of a table have numerator and denominator, those of a staged result a text.
    """
    found = {name: value for name, value in media.items() if value is not None}
    if "spherical" in found:
        spherical = found["spherical"].items()
        found["spherical"] = {name: value for name, value in spherical if value is not None}
    if found.get("rotation", 0) % 180:
        if "pixel_aspect" in found:
            found["pixel_aspect"] = str(1 / Fraction(found["pixel_aspect"]))
        else:
            sides = found["pixel_aspect_den"], found["pixel_aspect_num"]
            found["pixel_aspect_num"], found["pixel_aspect_den"] = sides
    return found


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    combined = column.combine_chunks()
    if isinstance(combined, pa.ChunkedArray):
        combined = pa.concat_arrays(combined.chunks)
    return combined.cast(kind)


def _coalesce(parts: Sequence[pa.Array]) -> pa.Array:
    return parts[0] if len(parts) == 1 else pc.coalesce(*parts)


def _migrate_score_names(lists: pa.Array) -> pa.Array:
    """Return `list<SCORE>`, or `list<CLIP>` with the scores of each clip, under current names."""
    items = lists.values
    names = [field.name for field in items.type]
    if "filter" in names and "name" in names:
        columns = {"name": _current_score_names(items.field("filter"), items.field("name"))}
    elif "scores" in names:
        columns = {"scores": _migrate_score_names(items.field("scores"))}
    else:
        return lists
    parts = [columns.get(name, items.field(name)) for name in names]
    changed = pa.StructArray.from_arrays(parts, fields=list(items.type))
    return pa.ListArray.from_arrays(
        lists.offsets, changed, type=lists.type, mask=lists.is_null() if lists.null_count else None
    )


def _current_score_names(filters: pa.Array, names: pa.Array) -> pa.Array:
    for (owner, old), current in RENAMED_SCORES.items():
        found = pc.equal(names, old)
        if pc.any(found).as_py():
            names = pc.if_else(pc.and_(found, pc.equal(filters, owner)), current, names)
    return names
