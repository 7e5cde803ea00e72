"""Arrow shards of clips, the index of decisions, snapshots, and the order in which training reads them."""

from argus.dataset.compaction import CompactReport
from argus.dataset.dataset import Commit, Dataset, DecidedVideo, Settle
from argus.dataset.ids import (
    assign_split,
    format_clip_id,
    hash_source_id,
    identify,
    normalize_url,
)
from argus.dataset.log import LoggedCommit, SnapshotDiff
from argus.dataset.manifest import (
    ManifestReport,
    compare_manifest,
    export_manifest,
    manifest_recipes,
    read_manifest,
)
from argus.dataset.records import (
    ClipRow,
    FetchRow,
    MediaRow,
    ScoreRow,
    SecondsRow,
    ShardClip,
    SnapshotRow,
    SourceRow,
)
from argus.dataset.sample_order import SamplePosition, epoch_order, global_batch, rank_slice
from argus.dataset.shard import ShardReader, write_shard
from argus.dataset.snapshots import Snapshot
from argus.dataset.store import Store, StoredFile, is_remote
from argus.dataset.windows import UsableRows, Window, load_window, usable_rows, window_start

__all__ = [
    "ClipRow",
    "Commit",
    "CompactReport",
    "Dataset",
    "DecidedVideo",
    "FetchRow",
    "LoggedCommit",
    "ManifestReport",
    "MediaRow",
    "SamplePosition",
    "ScoreRow",
    "SecondsRow",
    "ShardClip",
    "Settle",
    "ShardReader",
    "Snapshot",
    "SnapshotDiff",
    "SnapshotRow",
    "SourceRow",
    "Store",
    "StoredFile",
    "UsableRows",
    "Window",
    "assign_split",
    "compare_manifest",
    "epoch_order",
    "export_manifest",
    "format_clip_id",
    "global_batch",
    "hash_source_id",
    "identify",
    "is_remote",
    "load_window",
    "manifest_recipes",
    "normalize_url",
    "rank_slice",
    "read_manifest",
    "usable_rows",
    "window_start",
    "write_shard",
]
