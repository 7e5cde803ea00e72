"""Arrow schemas of what lies on disk: shards, the index, snapshots. Version 1 of each."""

import pyarrow as pa

SCORE = pa.struct(
    [
        ("filter", pa.string()),
        ("name", pa.string()),  # which number of the filter
        ("value", pa.float64()),
        ("threshold", pa.float64()),  # null where the score is only recorded
        ("kept", pa.bool_()),
    ]
)

CLIP = pa.struct(
    [
        ("clip_id", pa.string()),
        ("start_ms", pa.int64()),
        ("end_ms", pa.int64()),
        ("frames", pa.int32()),
        ("decision", pa.string()),
        ("reason", pa.string()),  # null when kept
        ("quality", pa.float32()),
        (
            "high_quality",
            pa.bool_(),
        ),  # good enough for the second stage of training, by the policy of its time
        ("scores", pa.list_(SCORE)),
        ("shard", pa.string()),  # null when it was never kept
        ("row", pa.int32()),
        ("checksum", pa.string()),  # SHA-256 of the clip's video bytes
        (
            "signature",
            pa.binary(),
        ),  # what duplicates are found by (argus.curate.dedup.fingerprint), at most 1924 bytes; null when it was never kept
        (
            "duplicate_of",
            pa.string(),
        ),  # clip_id of the earlier clip that shows the same; null when there is none
    ]
)

FETCH = pa.struct(
    [
        ("tool", pa.string()),
        ("version", pa.string()),
        ("client", pa.string()),
        ("format_id", pa.string()),
        ("format_note", pa.string()),
        ("bytes", pa.int64()),
        ("sha256", pa.string()),
    ]
)

MEDIA = pa.struct(
    [
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("fps_num", pa.int64()),
        ("fps_den", pa.int64()),
        ("frames", pa.int64()),
        ("codec", pa.string()),
        ("container", pa.string()),
    ]
)

SECONDS = pa.struct(
    [
        ("fetch", pa.float64()),
        ("decode", pa.float64()),
        ("filters", pa.float64()),
        ("encode", pa.float64()),
    ]
)

INDEX_SCHEMA = pa.schema(
    [
        ("source_id", pa.string()),
        ("url", pa.string()),
        ("split", pa.string()),
        ("decision", pa.string()),
        ("reason", pa.string()),  # null when kept
        ("detail", pa.string()),  # one sentence for a person
        ("retryable", pa.bool_()),
        ("layout_declared", pa.string()),  # by metadata; null when there is none
        ("layout", pa.string()),  # as judged
        (
            "conversion",
            pa.string(),
        ),  # how the frames that filters and clips were made of were converted; null when none were
        ("scores", pa.list_(SCORE)),
        ("clips", pa.list_(CLIP)),
        ("fetch", FETCH),  # null when nothing was fetched
        ("media", MEDIA),  # null when nothing could be read
        ("thumbnail", pa.string()),  # path below the dataset's folder; null when there is none
        ("recipe", pa.string()),  # digest of everything that shapes a clip's bytes or its decision
        ("run_id", pa.string()),
        ("code_version", pa.string()),
        ("decided", pa.timestamp("us", tz="UTC")),
        (
            "scored",
            pa.list_(pa.string()),
        ),  # the filters that ran for this row; none where it was decided from stored scores
        (
            "networks",
            pa.list_(pa.string()),
        ),  # the learned scorers that its clips' numbers are of, each with version and weights
        ("seconds", SECONDS),  # what this row cost, by stage; null where nothing was fetched
        ("sequence", pa.int64()),  # grows with every commit; the latest row of a source wins
    ],
    metadata={"argus.index": "1"},
)
"""A row per source video and decision (Delta table, append-only)."""

SHARD_SCHEMA = pa.schema(
    [
        ("clip_id", pa.string()),
        ("source_id", pa.string()),
        ("split", pa.string()),
        ("start_ms", pa.int64()),
        ("end_ms", pa.int64()),
        ("frames", pa.int32()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("fps_num", pa.int64()),  # the true rate of the stored frames
        ("fps_den", pa.int64()),
        ("quality", pa.float32()),
        ("video", pa.large_binary()),  # mp4, H.264
    ],
    metadata={"argus.shard": "1"},
)
"""One clip per record batch, Arrow IPC file, uncompressed."""

SNAPSHOT_SCHEMA = pa.schema(
    [
        ("clip_id", pa.string()),
        ("source_id", pa.string()),
        ("split", pa.string()),
        ("quality", pa.float32()),
        ("high_quality", pa.bool_()),
        ("frames", pa.int32()),
        ("shard", pa.string()),
        ("row", pa.int32()),
        ("checksum", pa.string()),
    ],
    metadata={"argus.snapshot": "1"},
)
"""An immutable version of the dataset: `snapshots/NNNNNN.parquet`."""

MANIFEST_SCHEMA = pa.schema(
    [
        ("source_id", pa.string()),
        ("url", pa.string()),
        ("split", pa.string()),
        ("decision", pa.string()),
        ("layout", pa.string()),
        ("scores", pa.list_(SCORE)),
        (
            "clips",
            pa.list_(
                pa.struct(
                    [field for field in CLIP if field.name not in {"shard", "row", "signature"}]
                )
            ),
        ),
        ("fetch", FETCH),
        ("media", MEDIA),
        ("recipe", pa.string()),
        ("code_version", pa.string()),
    ],
    metadata={"argus.manifest": "1"},
)
"""A dataset without its pixels, one row per kept source in the order of commits (parquet); its metadata also hold the recipes."""
