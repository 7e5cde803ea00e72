"""Manifests: a dataset without its pixels, as one parquet file.

It holds the kept sources, the spans, scores and checksums of their clips, and the recipes. It is
also a catalogue, with `url` and `split` in the order of commits, and within a commit in that of its
chunk: a refresh of it builds the dataset anew, in the same order, and `compare_manifest` reports
which clips came out with the same bytes, with other bytes, or not at all. No shard is read.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
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
    """The fate of a manifest's kept clips in a dataset, by clip id."""

    same: tuple[str, ...]  # byte for byte
    changed: tuple[str, ...]  # kept with other bytes: another source file or another encoder
    missing: dict[str, str]  # the reason of the clip or its source, or "not decided"


def export_manifest(dataset: Dataset, path: Path | str) -> int:
    """Write the manifest of a dataset (`schemas.arrow.MANIFEST_SCHEMA`).

    Returns:
        The number of kept sources.

    Raises:
        InvalidInput: there is no dataset, or it keeps nothing.
    """
    rows = dataset.read_latest(MANIFEST_SCHEMA.names)
    rows = _sort_by_commit(dataset, rows.filter(pc.equal(rows["decision"], str(Decision.KEPT))))
    if not len(rows):
        raise InvalidInput(
            f"dataset {dataset.store.uri} keeps no video; a manifest needs at least one"
        )
    recipes = _read_recipes(dataset, rows["recipe"])
    settings = {_RECIPE_KEY + digest.encode(): text for digest, text in recipes}
    schema = MANIFEST_SCHEMA.with_metadata({**MANIFEST_SCHEMA.metadata, **settings})
    with replace_atomically(Path(path)) as temporary:
        shared = rows.select(MANIFEST_SCHEMA.names).cast(schema)  # drops the clips' locations
        pq.write_table(shared, temporary, compression="zstd")
    return len(rows)


def read_manifest(path: Path | str) -> pa.Table:
    """Return the rows of a manifest. Raises InvalidInput for any other file."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise InvalidInput(f"{path} cannot be read as a manifest: {error}") from error
    if not table.schema.equals(MANIFEST_SCHEMA):
        raise InvalidInput(
            f"{path} is not a manifest: got the columns {', '.join(table.schema.names)}, expected "
            f"{', '.join(MANIFEST_SCHEMA.names)}; write one with `argus dataset export`"
        )
    return table


def read_manifest_recipes(path: Path | str) -> dict[str, str]:
    """Return the recipes in a manifest, JSON text by digest.

    A recipe that the exporting dataset did not store is missing.
    """
    metadata = pq.read_schema(path).metadata or {}
    return {
        key.removeprefix(_RECIPE_KEY).decode(): text.decode()
        for key, text in metadata.items()
        if key.startswith(_RECIPE_KEY)
    }


def compare_manifest(dataset: Dataset, path: Path | str) -> ManifestReport:
    """Compare the kept clips of a manifest with those of a dataset that was built from it.

    Raises:
        InvalidInput: the file is not a manifest, or there is no dataset.
    """
    wanted = read_manifest(path).select(["source_id", "clips"]).to_pylist()
    here = {
        row["source_id"]: row
        for row in dataset.read_latest(["source_id", "decision", "reason", "clips"]).to_pylist()
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
                    missing[clip["clip_id"]] = _explain(own, found)
                else:
                    (same if found["checksum"] == clip["checksum"] else changed).append(
                        clip["clip_id"]
                    )
    return ManifestReport(tuple(same), tuple(changed), missing)


def _sort_by_commit(dataset: Dataset, rows: pa.Table) -> pa.Table:
    """Sort the latest rows of sources by commit and by their place in its chunk.

    Merging files of the index keeps the order of the rows of a commit.
    """
    ordered = dataset.index.rows_after(0, ["source_id"])["source_id"].to_pylist()
    places = {source_id: place for place, source_id in enumerate(ordered)}  # of the latest row
    return rows.take(np.argsort([places[one] for one in rows["source_id"].to_pylist()]))


def _explain(source: dict[str, Any] | None, clip: dict[str, Any] | None) -> str:
    if source is None:
        return "not decided"
    return str((clip and clip["reason"]) or source["reason"] or "no such span")


def _read_recipes(dataset: Dataset, digests: pa.ChunkedArray) -> list[tuple[str, str]]:
    names = [(digest, f"recipes/{digest}.json") for digest in sorted(set(digests.to_pylist()))]
    return [
        (digest, dataset.store.read(name).decode())
        for digest, name in names
        if dataset.store.exists(name)
    ]
