"""The synthetic world: ERP frames with exact poses and straight lines, video files of it with every defect, and a site that serves them.

Needs no download. The same seed gives the same pixels.
"""

from argus.synth.catalogue import write_catalogue
from argus.synth.hostile import Fault, HostileSite, serve_hostile
from argus.synth.paths import CameraPath, Motion, SynthClip, make_path, render_clip
from argus.synth.site import Site, serve_folder
from argus.synth.video_kinds import KINDS, Kind
from argus.synth.videos import (
    SynthVideo,
    write_layouts,
    write_negatives,
    write_video_kind,
    write_world_videos,
)
from argus.synth.world import World

__all__ = [
    "KINDS",
    "CameraPath",
    "Fault",
    "HostileSite",
    "Kind",
    "Motion",
    "Site",
    "SynthClip",
    "SynthVideo",
    "World",
    "make_path",
    "render_clip",
    "serve_folder",
    "serve_hostile",
    "write_catalogue",
    "write_video_kind",
    "write_layouts",
    "write_negatives",
    "write_world_videos",
]
