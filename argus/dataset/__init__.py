"""Datasets of clips: shards, the index of decisions, snapshots, the order of training samples."""

from argus.dataset.compaction import CompactReport
from argus.dataset.dataset import Commit, Dataset, DecidedVideo, ResolveChunk
from argus.dataset.decisions import is_retryable_failure
from argus.dataset.forgetting import Tombstone, read_tombstones
from argus.dataset.ids import (
    YOUTUBE_ID,
    assign_split,
    format_clip_id,
    hash_source_id,
    identify,
    normalize_url,
)
from argus.dataset.index import select_latest
from argus.dataset.log import LoggedCommit, SnapshotDiff
from argus.dataset.manifest import (
    ManifestReport,
    compare_manifest,
    export_manifest,
    read_manifest,
    read_manifest_recipes,
)
from argus.dataset.migration import (
    RENAMED_SCORES,
    migrate_config,
    migrate_recipe,
    spell_recipe_v1,
)
from argus.dataset.records import (
    ClipFile,
    CuratedClip,
    CuratedVideo,
    FetchedFile,
    FetchInfo,
    Provenance,
    Score,
    ShardClip,
    SnapshotRow,
    SourceRow,
    StageSeconds,
)
from argus.dataset.rows import add_provenance, row_from_json, row_from_values, row_to_json
from argus.dataset.sample_order import (
    SamplePosition,
    permute_epoch,
    select_global_batch,
    slice_for_rank,
)
from argus.dataset.shard import ShardReader, write_shard
from argus.dataset.snapshots import Snapshot
from argus.dataset.store import Store, StoredFile, is_remote
from argus.dataset.view import DatasetView, FoundItem
from argus.dataset.windows import (
    UsableRows,
    Window,
    choose_window_start,
    load_window,
    require_rows,
    select_usable_rows,
)

__all__ = [
    "RENAMED_SCORES",
    "YOUTUBE_ID",
    "ClipFile",
    "Commit",
    "CompactReport",
    "CuratedClip",
    "CuratedVideo",
    "Dataset",
    "DatasetView",
    "DecidedVideo",
    "FetchInfo",
    "FetchedFile",
    "FoundItem",
    "LoggedCommit",
    "ManifestReport",
    "Provenance",
    "ResolveChunk",
    "SamplePosition",
    "Score",
    "ShardClip",
    "ShardReader",
    "Snapshot",
    "SnapshotDiff",
    "SnapshotRow",
    "SourceRow",
    "StageSeconds",
    "Store",
    "StoredFile",
    "Tombstone",
    "UsableRows",
    "Window",
    "add_provenance",
    "assign_split",
    "choose_window_start",
    "compare_manifest",
    "export_manifest",
    "format_clip_id",
    "hash_source_id",
    "identify",
    "is_remote",
    "is_retryable_failure",
    "load_window",
    "migrate_config",
    "migrate_recipe",
    "normalize_url",
    "permute_epoch",
    "read_manifest",
    "read_manifest_recipes",
    "read_tombstones",
    "require_rows",
    "row_from_json",
    "row_from_values",
    "row_to_json",
    "select_global_batch",
    "select_latest",
    "select_usable_rows",
    "slice_for_rank",
    "spell_recipe_v1",
    "write_shard",
]
