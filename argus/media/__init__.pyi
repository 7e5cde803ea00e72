"""The public names of the package; `lazy_loader` reads this file at run time."""

from .backends import decode_clip, open_video
from .boxes import pack_box
from .encode import encode_clip, write_video
from .info import Color, MediaInfo, Projection, SphericalMetadata, StereoMode, Track, frame_stride
from .mp4_contents import Omission
from .probing import probe, read_spherical
from .reader import FrameSampling, VideoReader, resize_frame
from .remuxing import list_omissions
from .sandbox import CallCancelled, cancel_calls, run_sandboxed, start_server
from .sound import SoundSource
from .tagging import tag_spherical

__all__ = [
    "CallCancelled",
    "Color",
    "FrameSampling",
    "MediaInfo",
    "Omission",
    "Projection",
    "SoundSource",
    "SphericalMetadata",
    "StereoMode",
    "Track",
    "VideoReader",
    "cancel_calls",
    "decode_clip",
    "encode_clip",
    "frame_stride",
    "list_omissions",
    "open_video",
    "pack_box",
    "probe",
    "read_spherical",
    "resize_frame",
    "run_sandboxed",
    "start_server",
    "tag_spherical",
    "write_video",
]
