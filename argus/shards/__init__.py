"""Arrow shards of clips, the index of decisions, snapshots, and the order in which training reads them."""

from argus.shards.dataset import Commit, Dataset, DecidedVideo
from argus.shards.manifest import ManifestReport, compare_manifest, export_manifest, manifest_recipes, read_manifest
from argus.shards.order import SamplePosition, epoch_order, global_batch, rank_slice
from argus.shards.records import ClipRow, FetchRow, MediaRow, ScoreRow, SecondsRow, ShardClip, SnapshotRow, SourceRow
from argus.shards.shard import ShardReader, shard_name, write_shard
from argus.shards.snapshots import Snapshot
from argus.shards.windows import UsableRows, Window, load_window, usable_rows, window_start

__all__ = [
    "ClipRow",
    "Commit",
    "Dataset",
    "DecidedVideo",
    "FetchRow",
    "ManifestReport",
    "MediaRow",
    "SamplePosition",
    "ScoreRow",
    "SecondsRow",
    "ShardClip",
    "ShardReader",
    "Snapshot",
    "SnapshotRow",
    "SourceRow",
    "UsableRows",
    "Window",
    "compare_manifest",
    "epoch_order",
    "export_manifest",
    "global_batch",
    "load_window",
    "manifest_recipes",
    "rank_slice",
    "read_manifest",
    "shard_name",
    "usable_rows",
    "window_start",
    "write_shard",
]
