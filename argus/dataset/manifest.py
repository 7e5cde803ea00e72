"""Sharing a dataset without its pixels: a parquet file of its kept sources, their clips' spans, scores and checksums, and the recipe.

A manifest is a catalogue (it has `url` and `split`, in the order of commits): a refresh fetches its sources and judges them again, and
`compare_manifest` says which clips came out with the same bytes, which with others, and which are gone and why. Neither reads a shard.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from argus.dataset.dataset import Dataset
from argus.errors import InvalidInput
from argus.files import replace_atomically
from schemas.arrow import MANIFEST_SCHEMA
from schemas.names import Decision

_RECIPE_KEY = b"argus.recipe:"  # + digest: the settings and thresholds as JSON


@dataclass(frozen=True)
class ManifestReport:
    """What became of a manifest's kept clips in a dataset, by clip_id."""

    same: tuple[str, ...]  # byte for byte
    changed: tuple[
        str, ...
    ]  # kept, with other bytes: another format was fetched, or another encoder wrote it
    missing: dict[str, str]  # why: the source's or the clip's reason, or "not decided"


def export_manifest(dataset: Dataset, path: Path | str) -> int:
    """Writes the manifest of a dataset's kept sources (`schemas.arrow.MANIFEST_SCHEMA`); returns how many.

    Raises InvalidInput where there is no dataset or it keeps nothing.
    """
    rows = dataset.latest_rows([*MANIFEST_SCHEMA.names, "sequence"])
    rows = rows.filter(pc.equal(rows["decision"], str(Decision.KEPT))).sort_by("sequence")
    if not len(rows):
        raise InvalidInput(
            f"dataset {dataset.store.uri} keeps no video, so there is nothing to share"
        )
    columns = {
        name: rows[name] if name != "clips" else _without_places(rows["clips"])
        for name in MANIFEST_SCHEMA.names
    }
    settings = {
        _RECIPE_KEY + digest.encode(): text for digest, text in _recipes(dataset, rows["recipe"])
    }
    schema = MANIFEST_SCHEMA.with_metadata({**MANIFEST_SCHEMA.metadata, **settings})
    with replace_atomically(Path(path)) as beside:
        pq.write_table(pa.table(columns).cast(schema), beside, compression="zstd")
    return len(rows)


def read_manifest(path: Path | str) -> pa.Table:
    """The rows of a manifest. Raises InvalidInput for a file that is none."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise InvalidInput(f"{path} cannot be read as a manifest: {error}") from error
    if not table.schema.equals(MANIFEST_SCHEMA):
        raise InvalidInput(
            f"{path} is no manifest, which has the columns {', '.join(MANIFEST_SCHEMA.names)}; it has {', '.join(table.schema.names)}"
        )
    return table


def manifest_recipes(path: Path | str) -> dict[str, str]:
    """The recipes' settings that a manifest carries, JSON by digest; a recipe from before they were stored has none."""
    metadata = pq.read_schema(path).metadata or {}
    return {
        key.removeprefix(_RECIPE_KEY).decode(): text.decode()
        for key, text in metadata.items()
        if key.startswith(_RECIPE_KEY)
    }


def compare_manifest(dataset: Dataset, path: Path | str) -> ManifestReport:
    """Sets the kept clips of a manifest beside those of a dataset that was built from it. Raises InvalidInput."""
    wanted = read_manifest(path).select(["source_id", "clips"]).to_pylist()
    here = {
        row["source_id"]: row
        for row in dataset.latest_rows(["source_id", "decision", "reason", "clips"]).to_pylist()
    }
    same: list[str] = []
    changed: list[str] = []
    missing: dict[str, str] = {}
    for row in wanted:
        own = here.get(row["source_id"])
        clips = {clip["clip_id"]: clip for clip in (own["clips"] if own else None) or ()}
        for clip in row["clips"]:
            if clip["decision"] == Decision.KEPT:
                found = clips.get(clip["clip_id"])
                if found is None or found["decision"] != Decision.KEPT:
                    missing[clip["clip_id"]] = _why(own, found)
                else:
                    (same if found["checksum"] == clip["checksum"] else changed).append(
                        clip["clip_id"]
                    )
    return ManifestReport(tuple(same), tuple(changed), missing)


def _why(source: dict[str, Any] | None, clip: dict[str, Any] | None) -> str:
    if source is None:
        return "not decided"
    return str((clip and clip["reason"]) or source["reason"] or "no such span")


def _recipes(dataset: Dataset, digests: pa.ChunkedArray) -> list[tuple[str, str]]:
    names = [(digest, f"recipes/{digest}.json") for digest in sorted(set(digests.to_pylist()))]
    return [
        (digest, dataset.store.read(name).decode())
        for digest, name in names
        if dataset.store.exists(name)
    ]


def _without_places(clips: pa.ChunkedArray) -> pa.Array:
    """The clips without the shard and row in which they lie here."""
    lists = clips.combine_chunks()
    flat = lists.flatten()
    names = [field.name for field in MANIFEST_SCHEMA.field("clips").type.value_type]
    own = {field.name for field in flat.type}
    kept = [flat.field(name) if name in own else pa.nulls(len(flat), pa.string()) for name in names]
    offsets = pa.concat_arrays(
        [
            pa.array([0], pa.int32()),
            pc.cumulative_sum(pc.fill_null(pc.list_value_length(lists), 0)).cast(pa.int32()),
        ]
    )
    return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(kept, names))
