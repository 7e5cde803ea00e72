"""Enumerations that are stored or shown, exit codes, and telemetry settings."""

from enum import StrEnum


class Layout(StrEnum):
    """Mapping of the sphere to a video's frames."""

    MONO_ERP = "mono_erp"
    MONO_ERP_16X9 = "mono_erp_16x9"  # the whole sphere, resized to 16:9 or another non-2:1 shape
    MONO_ERP_LETTERBOXED = "mono_erp_letterboxed"  # the whole sphere between black bars
    STEREO_TB = "stereo_tb"
    STEREO_SBS = "stereo_sbs"
    HALF_ERP = "half_erp"  # VR180
    EAC = "eac"  # equi-angular cubemap, 3x2
    CUBEMAP = "cubemap"
    DUAL_FISHEYE = "dual_fisheye"
    CONVERTED_TWICE = "converted_twice"  # an ERP converted again as if it were a cubemap: garbage
    PARTIAL = "partial"  # a mesh or bounds that cover less than the sphere
    FLAT = "flat"  # an ordinary perspective video
    NONE = "none"  # no picture
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Reason for dropping, or failing to process, a video or a clip. One code per cause."""

    # download
    BAD_URL = "bad_url"
    FORBIDDEN_HOST = "forbidden_host"  # a loopback or private address, which is not allowed
    UNREACHABLE = "unreachable"
    NOT_FOUND = "not_found"
    FORBIDDEN = "forbidden"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    PRIVATE = "private"
    MEMBERS_ONLY = "members_only"
    REMOVED = "removed"
    LIVE = "live"  # a stream that has not begun or not ended
    GEO_BLOCKED = "geo_blocked"
    AGE_GATED = "age_gated"
    BOT_CHECK = "bot_check"
    NO_JS_RUNTIME = "no_js_runtime"  # nothing was asked: YouTube's player needs JavaScript
    CHALLENGE_UNSOLVED = "challenge_unsolved"  # of YouTube's player
    FORMATS_WITHHELD = "formats_withheld"  # the site listed no formats, or only its poorest
    NO_SPHERICAL_FORMAT = "no_spherical_format"
    UNSUPPORTED_URL = "unsupported_url"
    TRUNCATED = "truncated"
    TOO_LARGE = "too_large"
    TOO_LONG = "too_long"
    TIMED_OUT = "timed_out"
    FETCH_FAILED = "fetch_failed"
    DISK_FULL = "disk_full"
    # decoding
    EMPTY_FILE = "empty_file"
    NOT_A_VIDEO = "not_a_video"
    NO_VIDEO_STREAM = "no_video_stream"
    CORRUPT = "corrupt"
    UNSUPPORTED_CODEC = "unsupported_codec"
    DECODER_CRASHED = "decoder_crashed"
    # layout
    NOT_360 = "not_360"
    NOT_FULL_SPHERE = "not_full_sphere"
    STEREO = "stereo"
    UNSUPPORTED_LAYOUT = "unsupported_layout"
    LAYOUT_MISMATCH = "layout_mismatch"  # metadata and pixels disagree
    # filters
    SEAM = "seam"
    BLACK = "black"
    LOW_VARIANCE = "low_variance"
    STATIC = "static"
    TOO_SHORT = "too_short"
    UNEVEN_RATE = "uneven_rate"  # frames are held for too long, so the clip stutters
    BLURRED = "blurred"
    EXPOSURE = "exposure"  # mostly too dark or overexposed
    OPERATOR = "operator"  # a large part of the nadir moves with the camera
    TILTED = "tilted"  # the vertical axis is not upright
    DUPLICATE = "duplicate"
    TEXT = "text"  # overlaid text, or too much text
    SHOT_BOUNDARY = "shot_boundary"
    LOW_AESTHETIC = "low_aesthetic"
    # by a person
    FORGOTTEN = "forgotten"  # taken down; it is never fetched again
    # internal faults: no statement about the video's quality
    SCORER_FAILED = "scorer_failed"
    WORKER_DIED = "worker_died"


class Outcome(StrEnum):
    """Outcome of a job."""

    DONE = "done"
    NOTHING = "nothing"  # there was nothing to do; a success
    INVALID = "invalid"  # the input can never work
    RETRY = "retry"  # trying again later may work
    CANCELLED = "cancelled"
    FAILED = "failed"


class Decision(StrEnum):
    """Decision of a refresh about a source video or a clip."""

    KEPT = "kept"
    DROPPED = "dropped"  # processed and rejected
    FAILED = "failed"  # not processed; `retryable` says whether a later refresh tries again


class Split(StrEnum):
    """Part of the dataset. Splits are by source video, never by clip."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


class JobKind(StrEnum):
    """Kind of a Ray job; also the name of its folder in `$ARGUS_HOME/runs`."""

    CURATE = "curate"
    TRAIN = "train"
    EVALUATE = "evaluate"
    GENERATE = "generate"


class HeightWeight(StrEnum):
    """Loss weight by latitude (ARGUS method, section 2), normalized to mean 1."""

    PAPER = "paper"
    SQRT = "sqrt"
    COS = "cos"
    NONE = "none"


class PromotionDecision(StrEnum):
    """Decision about a candidate model."""

    PROMOTE = "promote"
    HOLD = "hold"
    REJECT = "reject"


EXIT_CODES: dict[Outcome, int] = {
    Outcome.DONE: 0,
    Outcome.NOTHING: 0,
    Outcome.FAILED: 1,
    Outcome.INVALID: 10,
    Outcome.RETRY: 30,
    Outcome.CANCELLED: 130,
}
"""Exit status of Ray jobs and of the command line, by outcome."""

TELEMETRY_OFF: dict[str, str] = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""Environment variables that turn off the telemetry of Prefect, Ray and MLflow."""
