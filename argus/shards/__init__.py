"""Arrow shards of clips, the index of decisions, snapshots, and the order in which training reads them."""

from argus.shards.compaction import CompactReport
from argus.shards.dataset import Commit, Dataset, DecidedVideo, Settle
from argus.shards.history import LoggedCommit, SnapshotDiff
from argus.shards.manifest import ManifestReport, compare_manifest, export_manifest, manifest_recipes, read_manifest
from argus.shards.order import SamplePosition, epoch_order, global_batch, rank_slice
from argus.shards.records import ClipRow, FetchRow, MediaRow, ScoreRow, SecondsRow, ShardClip, SnapshotRow, SourceRow
from argus.shards.shard import ShardReader, write_shard
from argus.shards.snapshots import Snapshot
from argus.shards.store import Store, Stored, is_remote
from argus.shards.windows import UsableRows, Window, load_window, usable_rows, window_start

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
    "Stored",
    "UsableRows",
    "Window",
    "compare_manifest",
    "epoch_order",
    "export_manifest",
    "global_batch",
    "is_remote",
    "load_window",
    "manifest_recipes",
    "rank_slice",
    "read_manifest",
    "usable_rows",
    "window_start",
    "write_shard",
]
