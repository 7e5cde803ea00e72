"""The public names of the package; `lazy_loader` reads this file at run time."""

from .agreement import (
    Agreement,
    compare_clip_list,
    read_clip_list,
)
from .demo_report import (
    Picture,
    ReportData,
    VideoCard,
    render_report,
    write_report,
)
from .gallery import (
    Gallery,
    select_videos,
    write_gallery,
)
from .lineage import (
    ScoreLine,
    Stage,
    explain_decision,
)
from .pictures import (
    crop_seam,
    crop_thumbnail,
    encode_jpeg,
    encode_png,
    make_contact_sheet,
    make_strip,
)
from .plots import (
    Point,
    draw_bars,
    draw_histogram,
    draw_loss_curve,
    draw_yield_curves,
)
from .refresh import (
    RefreshReport,
    render_refresh_markdown,
    write_refresh_report,
)
from .refresh_figures import (
    MAX_PAUSE_S,
    MAX_PICTURES,
    MAX_RETRIES,
    MAX_SLOWEST,
    Bottleneck,
    RefreshedVideo,
    RefreshFigures,
)
from .refresh_rows import (
    read_refreshed_videos,
)
from .stats import (
    FilterTally,
    Tallies,
    describe_small_splits,
    render_stats,
)
from .sweep import (
    Sweep,
    compute_sweeps,
)
from .versions import (
    clip_hours,
    removal_reasons,
    snapshot_facts,
)

__all__ = [
    "Agreement",
    "Bottleneck",
    "FilterTally",
    "Gallery",
    "MAX_PAUSE_S",
    "MAX_PICTURES",
    "MAX_RETRIES",
    "MAX_SLOWEST",
    "Picture",
    "Point",
    "RefreshFigures",
    "RefreshReport",
    "RefreshedVideo",
    "ReportData",
    "ScoreLine",
    "Stage",
    "Sweep",
    "Tallies",
    "VideoCard",
    "clip_hours",
    "compare_clip_list",
    "compute_sweeps",
    "crop_seam",
    "crop_thumbnail",
    "describe_small_splits",
    "draw_bars",
    "draw_histogram",
    "draw_loss_curve",
    "draw_yield_curves",
    "encode_jpeg",
    "encode_png",
    "explain_decision",
    "make_contact_sheet",
    "make_strip",
    "read_clip_list",
    "read_refreshed_videos",
    "removal_reasons",
    "render_refresh_markdown",
    "render_report",
    "render_stats",
    "select_videos",
    "snapshot_facts",
    "write_gallery",
    "write_refresh_report",
    "write_report",
]
