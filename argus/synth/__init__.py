"""Synthetic 360° videos: ERP frames with exact poses, files with every defect, and a server.

A procedural city is rendered to ERP frames. Nothing is downloaded, and the same seed gives the same
pixels.
"""

from argus.synth.http_server import (
    FileHandler,
    FolderServer,
    ServedRequest,
    parse_range,
    serve_folder,
    serve_handler,
)
from argus.synth.lettering import Board, Caption
from argus.synth.paths import CameraPath, Motion, SynthClip, make_path, render_clip
from argus.synth.room_renderer import render_room
from argus.synth.rooms import ROOMS, Room
from argus.synth.symmetric_set import SymmetricCase, make_symmetric_cases
from argus.synth.video_kinds import VIDEO_KINDS, VideoKind
from argus.synth.video_sets import (
    DemoWorld,
    write_catalogue,
    write_demo,
    write_layouts,
    write_negatives,
    write_world_videos,
)
from argus.synth.videos import Codec, SynthVideo, write_video_kind
from argus.synth.world import World

__all__ = [
    "ROOMS",
    "VIDEO_KINDS",
    "Board",
    "CameraPath",
    "Caption",
    "Codec",
    "DemoWorld",
    "FileHandler",
    "FolderServer",
    "Motion",
    "Room",
    "ServedRequest",
    "SymmetricCase",
    "SynthClip",
    "SynthVideo",
    "VideoKind",
    "World",
    "make_path",
    "make_symmetric_cases",
    "parse_range",
    "render_clip",
    "render_room",
    "serve_folder",
    "serve_handler",
    "write_catalogue",
    "write_demo",
    "write_layouts",
    "write_negatives",
    "write_video_kind",
    "write_world_videos",
]
