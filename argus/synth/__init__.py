"""The synthetic world: ERP frames with exact poses and straight lines, video files of it with every defect, and a site that serves them.

Needs no download. The same seed gives the same pixels.
"""

from argus.synth.catalogue import write_catalogue
from argus.synth.paths import CameraPath, Motion, SynthClip, make_path, render_clip
from argus.synth.http_server import (
    FileHandler,
    FolderServer,
    ServedRequest,
    parse_range,
    serve_folder,
    serve_handler,
)
from argus.synth.demo import DemoWorld, write_demo
from argus.synth.video_kinds import VIDEO_KINDS, VideoKind
from argus.synth.videos import (
    Codec,
    SynthVideo,
    write_layouts,
    write_negatives,
    write_video_kind,
    write_world_videos,
)
from argus.synth.world import World

__all__ = [
    "VIDEO_KINDS",
    "CameraPath",
    "Codec",
    "DemoWorld",
    "FileHandler",
    "FolderServer",
    "Motion",
    "ServedRequest",
    "SynthClip",
    "SynthVideo",
    "VideoKind",
    "World",
    "make_path",
    "render_clip",
    "parse_range",
    "serve_folder",
    "serve_handler",
    "write_catalogue",
    "write_demo",
    "write_video_kind",
    "write_layouts",
    "write_negatives",
    "write_world_videos",
]
