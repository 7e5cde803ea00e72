"""The public names of the package; `lazy_loader` reads this file at run time."""

from .clipping import ClipSpan, clip_spans
from .download import fetch
from .executor import (
    Completion,
    Executor,
    LocalExecutor,
    available_cpus,
    describe_task_error,
)
from .failures import AccessSettings
from .filters import (
    Filter,
    RateFilter,
    ScorerFailed,
    ScoreTable,
    apply_filters,
    clip_filters,
    video_filters,
)
from .forgetting import find_remains, forget_video
from .frame_sampling import (
    ERP_SIZE,
    NativeFrames,
    SampledFrames,
    evenly_spaced,
    resize_frames,
    sample_native_frames,
)
from .layout import LayoutVerdict, detect_layout, find_layout_setting
from .outcomes import FetchedVideo, FileLost, StagedVideo, TaskOutcome, WorkerDied, WorkItem
from .plan import RefreshPlan, RetryRules, plan_refresh, preview_refresh
from .process import process_isolated, process_video
from .quality import compute_quality
from .recipe import (
    RECIPE_VERSION,
    Recipe,
    Work,
    WorkKind,
    load_recipe,
    recipe_digest,
    store_recipe,
)
from .recompute import recompute_isolated
from .records import PriorResult, Verdict, VideoSource
from .reevaluate import reevaluate_video
from .results import failed_row, stage_result
from .run import CurationRun, RunTally
from .shot_detection import detect_shots
from .sources import Catalogue, read_catalogue
from .staging import StagedResultGone, StagingArea
from .tasks import VideoTasks
from .thresholds import THRESHOLDS, Threshold, find_threshold, thresholds_of
from .thumbnails import MAX_CLIP_ROWS, ROW_HEIGHT, SHEET_WIDTH, encode_contact_sheet

__all__ = [
    "ERP_SIZE",
    "MAX_CLIP_ROWS",
    "RECIPE_VERSION",
    "ROW_HEIGHT",
    "SHEET_WIDTH",
    "THRESHOLDS",
    "AccessSettings",
    "Catalogue",
    "ClipSpan",
    "Completion",
    "CurationRun",
    "Executor",
    "FetchedVideo",
    "FileLost",
    "Filter",
    "LayoutVerdict",
    "LocalExecutor",
    "NativeFrames",
    "PriorResult",
    "RateFilter",
    "Recipe",
    "RefreshPlan",
    "RetryRules",
    "RunTally",
    "SampledFrames",
    "ScoreTable",
    "ScorerFailed",
    "StagedResultGone",
    "StagedVideo",
    "StagingArea",
    "TaskOutcome",
    "Threshold",
    "Verdict",
    "VideoSource",
    "VideoTasks",
    "Work",
    "WorkItem",
    "WorkKind",
    "WorkerDied",
    "apply_filters",
    "available_cpus",
    "clip_filters",
    "clip_spans",
    "compute_quality",
    "describe_task_error",
    "detect_layout",
    "detect_shots",
    "encode_contact_sheet",
    "evenly_spaced",
    "failed_row",
    "fetch",
    "find_layout_setting",
    "find_remains",
    "find_threshold",
    "forget_video",
    "load_recipe",
    "plan_refresh",
    "preview_refresh",
    "process_isolated",
    "process_video",
    "read_catalogue",
    "recipe_digest",
    "recompute_isolated",
    "reevaluate_video",
    "resize_frames",
    "sample_native_frames",
    "stage_result",
    "store_recipe",
    "thresholds_of",
    "video_filters",
]
