"""The public names of the package; `lazy_loader` reads this file at run time."""

from .backends import decode_clip, open_video
from .cameras.lens_file import Lenses, read_lenses
from .cameras.photos import stitch_photo
from .cameras.recordings import require_no_camera
from .cameras.stitching import StitchedVideo, open_recording, stitch_video
from .encode import encode_clip, write_video
from .info import (
    Color,
    MediaInfo,
    Projection,
    SphericalMetadata,
    StereoMode,
    Track,
    check_map_size,
    frame_stride,
)
from .mp4.boxes import pack_box
from .mp4.copy_plan import Omission
from .mp4.remuxing import list_omissions
from .mp4.tagging import tag_spherical
from .notes import describe_reading
from .probing import probe, read_spherical
from .reader import FrameSampling, VideoReader, resize_frame
from .sandbox import CallCancelled, cancel_calls, run_sandboxed, start_server
from .sound import SoundSource

__all__ = [
    "CallCancelled",
    "Color",
    "FrameSampling",
    "Lenses",
    "MediaInfo",
    "Omission",
    "Projection",
    "SoundSource",
    "SphericalMetadata",
    "StereoMode",
    "StitchedVideo",
    "Track",
    "VideoReader",
    "cancel_calls",
    "check_map_size",
    "decode_clip",
    "describe_reading",
    "encode_clip",
    "frame_stride",
    "list_omissions",
    "open_recording",
    "open_video",
    "pack_box",
    "probe",
    "read_lenses",
    "read_spherical",
    "require_no_camera",
    "resize_frame",
    "run_sandboxed",
    "start_server",
    "stitch_photo",
    "stitch_video",
    "tag_spherical",
    "write_video",
]
