"""Every enumeration that is stored or shown: layouts, reasons, outcomes, splits, decisions."""

from enum import StrEnum


class Layout(StrEnum):
    """How the sphere lies in a video's frames."""

    MONO_ERP = "mono_erp"
    MONO_ERP_16X9 = (
        "mono_erp_16x9"  # the whole sphere, squeezed into 16:9 or another shape that is not 2:1
    )
    MONO_ERP_LETTERBOXED = "mono_erp_letterboxed"  # the whole sphere between black bars
    STEREO_TB = "stereo_tb"
    STEREO_SBS = "stereo_sbs"
    HALF_ERP = "half_erp"  # VR180
    EAC = "eac"  # equi-angular cubemap, 3x2
    CUBEMAP = "cubemap"
    DUAL_FISHEYE = "dual_fisheye"
    CONVERTED_TWICE = "converted_twice"  # a map that was taken for a cubemap and made into a map once more: garbage
    PARTIAL = "partial"  # a mesh or bounds that cover less than the sphere
    FLAT = "flat"  # an ordinary perspective video
    NONE = "none"  # no picture at all
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why a video or a clip was not kept. One code, one cause."""

    # fetching
    BAD_URL = "bad_url"
    FORBIDDEN_HOST = "forbidden_host"  # loopback or private address without permission
    UNREACHABLE = "unreachable"
    NOT_FOUND = "not_found"
    FORBIDDEN = "forbidden"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    PRIVATE = "private"
    REMOVED = "removed"
    GEO_BLOCKED = "geo_blocked"
    AGE_GATED = "age_gated"
    BOT_CHECK = "bot_check"
    NO_SPHERICAL_FORMAT = "no_spherical_format"
    UNSUPPORTED_URL = "unsupported_url"
    TRUNCATED = "truncated"
    TOO_LARGE = "too_large"
    TOO_LONG = "too_long"
    TIMED_OUT = "timed_out"
    FETCH_FAILED = "fetch_failed"
    DISK_FULL = "disk_full"
    # reading
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
    BLURRED = "blurred"
    EXPOSURE = "exposure"  # mostly too dark, or burnt out
    OPERATOR = "operator"  # too much at the nadir that goes with the camera
    TILTED = "tilted"  # the vertical is not upright
    DUPLICATE = "duplicate"
    TEXT = "text"  # lettering laid over the picture, or too much of it
    SHOT_BOUNDARY = "shot_boundary"
    LOW_AESTHETIC = "low_aesthetic"
    # faults of ours: never a judgement on the video's quality
    SCORER_FAILED = "scorer_failed"
    WORKER_DIED = "worker_died"


class Outcome(StrEnum):
    """How a job ended."""

    DONE = "done"
    NOTHING = "nothing"  # there was nothing to do, and that is fine
    INVALID = "invalid"  # the input can never work
    RETRY = "retry"  # trying again later may work
    CANCELLED = "cancelled"
    FAILED = "failed"


class Decision(StrEnum):
    """What a refresh decided about a source video or a clip."""

    KEPT = "kept"
    DROPPED = "dropped"  # judged, and not wanted
    FAILED = "failed"  # could not be judged; `retryable` says whether a later refresh tries again


class Split(StrEnum):
    """Held-out sets are by source video, never by clip."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


class JobKind(StrEnum):
    """The kinds of Ray jobs; also the folder names under `$ARGUS_HOME/runs`."""

    CURATE = "curate"
    TRAIN = "train"
    EVALUATE = "evaluate"
    GENERATE = "generate"


class HeightWeight(StrEnum):
    """Loss weight by latitude (ARGUS method, section 2); each is normalised to mean 1."""

    PAPER = "paper"
    SQRT = "sqrt"
    COS = "cos"
    NONE = "none"


class GateDecision(StrEnum):
    """What the gate says of a candidate model."""

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
"""Process exit status by outcome, for Ray jobs and for the command line alike."""
