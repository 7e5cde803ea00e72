"""Reports: pictures, plots, and one self-contained HTML page.

Importing this package loads nothing heavy; numpy, Pillow, matplotlib and jinja2 come in when a function needs them.
"""

from argus.report.data import Picture, Point, ReportData, VideoCard
from argus.report.page import render_report, write_report
from argus.report.pictures import (
    contact_sheet,
    encode_jpeg,
    encode_png,
    first_picture,
    seam_view,
    strip,
)
from argus.report.plots import loss_curve, reason_bars

__all__ = [
    "Picture",
    "Point",
    "ReportData",
    "VideoCard",
    "contact_sheet",
    "encode_jpeg",
    "encode_png",
    "first_picture",
    "loss_curve",
    "reason_bars",
    "render_report",
    "seam_view",
    "strip",
    "write_report",
]
