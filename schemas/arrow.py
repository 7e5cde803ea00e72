"""Arrow schemas of stored tables: shards, the index, snapshots and manifests.

`argus.dataset.migration` reads an index of version 1, 2 or 3.
"""

import pyarrow as pa

SCORE = pa.struct(
    [
        ("filter", pa.string()),
        ("name", pa.string()),  # of the number within the filter
        ("value", pa.float64()),
        ("threshold", pa.float64()),  # null if the score is only recorded
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
        ("reason", pa.string()),  # null if kept
        ("quality", pa.float32()),
        ("high_quality", pa.bool_()),  # good enough for the second stage of training
        ("scores", pa.list_(SCORE)),
        ("shard", pa.string()),  # null if it was never kept
        ("row", pa.int32()),
        ("checksum", pa.string()),  # SHA-256 of the clip's video bytes
        (
            "signature",
            pa.binary(),
        ),  # for finding duplicates, at most 1924 bytes; null if never kept
        ("duplicate_of", pa.string()),  # clip_id of the earlier clip with the same content, or null
    ]
)

_FETCH_FIELDS = [
    ("tool", pa.string()),
    ("version", pa.string()),
    ("client", pa.string()),
    ("format_id", pa.string()),
    ("format_note", pa.string()),
    ("bytes", pa.int64()),
    ("sha256", pa.string()),
]

FETCH = pa.struct(
    [
        *_FETCH_FIELDS,
        ("etag", pa.string()),  # this and what follows is null in rows of version 3
        ("status", pa.int32()),  # of the response with the file
    ]
)

SPHERICAL = pa.struct(
    [
        ("projection", pa.string()),
        ("stereo_mode", pa.string()),
        ("bounds", pa.list_(pa.float64())),  # missing shares at the top, bottom, left and right
        ("yaw_deg", pa.float64()),
        ("pitch_deg", pa.float64()),
        ("roll_deg", pa.float64()),
        ("padding", pa.int32()),
        ("coverage", pa.float64()),
        ("version", pa.string()),
        ("problem", pa.string()),  # of the declaration; null in rows of version 2
    ]
)

COLOR = pa.struct(
    [
        ("matrix", pa.string()),
        ("range", pa.string()),
        ("transfer", pa.string()),
        ("primaries", pa.string()),
    ]
)

TRACK = pa.struct(
    [
        ("number", pa.int32()),
        ("kind", pa.string()),
        ("codec", pa.string()),
        ("language", pa.string()),
        ("title", pa.string()),
        ("is_default", pa.bool_()),
        ("width", pa.int32()),
        ("height", pa.int32()),
    ]
)

_MEDIA_FIELDS = [
    ("width", pa.int32()),
    ("height", pa.int32()),
    ("fps_num", pa.int64()),
    ("fps_den", pa.int64()),
    ("frames", pa.int64()),
    ("codec", pa.string()),
    ("container", pa.string()),
]

MEDIA = pa.struct(
    [
        *_MEDIA_FIELDS,
        ("duration_s", pa.float64()),
        ("rotation", pa.int32()),
        ("pixel_aspect_num", pa.int64()),  # after rotation, before it in rows of version 2
        ("pixel_aspect_den", pa.int64()),  # null in rows of version 1
        ("is_variable_rate", pa.bool_()),
        ("spherical", SPHERICAL),  # null if the file declares none
        ("color", COLOR),  # this and what follows is null in rows of version 2
        ("is_mirrored", pa.bool_()),
        ("is_interlaced", pa.bool_()),
        ("bit_depth", pa.int32()),
        ("start_s", pa.float64()),
        ("irregularity", pa.float64()),
        ("has_edit_list", pa.bool_()),
        ("video_track", pa.int32()),
        ("track_choice", pa.string()),
        ("tracks", pa.list_(TRACK)),
        ("camera", pa.string()),
    ]
)

STAGE_SECONDS = pa.struct(
    [
        ("fetch", pa.float64()),
        ("decode", pa.float64()),
        ("filters", pa.float64()),
        ("encode", pa.float64()),
        ("wait", pa.float64()),  # this and what follows is null in rows of version 3
        ("startup", pa.float64()),
        ("transfer", pa.float64()),
        ("fetch_cpu", pa.float64()),
        ("process_cpu", pa.float64()),
    ]
)

INDEX_VERSION = 4

INDEX_SCHEMA = pa.schema(
    [
        ("source_id", pa.string()),
        ("url", pa.string()),
        ("split", pa.string()),
        ("decision", pa.string()),
        ("reason", pa.string()),  # null if kept
        ("detail", pa.string()),  # one sentence for a person
        ("retryable", pa.bool_()),
        ("layout_declared", pa.string()),  # by metadata; null if it declares none
        ("layout", pa.string()),  # as detected
        ("conversion", pa.string()),  # how frames were converted; null if they were not
        ("scores", pa.list_(SCORE)),
        ("clips", pa.list_(CLIP)),
        ("fetch", FETCH),  # null if nothing was fetched
        ("media", MEDIA),  # null if nothing could be read
        ("thumbnail", pa.string()),  # path below the dataset's folder, or null
        ("recipe", pa.string()),  # digest of everything that shapes a clip's bytes or its decision
        ("run_id", pa.string()),
        ("code_version", pa.string()),
        ("decided_at", pa.timestamp("us", tz="UTC")),
        ("measured_filters", pa.list_(pa.string())),  # empty if stored scores decided
        ("networks", pa.list_(pa.string())),  # learned scorers of the clips, by version and weights
        ("stage_seconds", STAGE_SECONDS),  # cost of this row; null if stored scores decided
        ("failure_settings", pa.string()),  # JSON: settings that the failure depends on, or null
        ("sequence", pa.int64()),  # grows with every commit; the latest row of a source counts
    ],
    metadata={"argus.index": str(INDEX_VERSION)},
)
"""One row per source video and decision (Delta table, append-only)."""

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
        ("fetch", pa.struct(_FETCH_FIELDS)),
        ("media", pa.struct(_MEDIA_FIELDS)),
        ("recipe", pa.string()),
        ("code_version", pa.string()),
    ],
    metadata={"argus.manifest": "1"},
)
"""A dataset without its pixels, one row per kept source in the order of commits (parquet).

The file's metadata also hold the recipes.
"""
