"""The public names of the package; `lazy_loader` reads this file at run time."""

from .backends import open_video
from .encode import encode_clip, write_video
from .info import MediaInfo, SphericalMetadata
from .probing import probe
from .pyav_reader import decode_clip
from .reader import VideoReader
from .sandbox import isolated
from .spherical import read_spherical
from .tagging import tag_spherical

__all__ = [
    "MediaInfo",
    "SphericalMetadata",
    "VideoReader",
    "decode_clip",
    "encode_clip",
    "isolated",
    "open_video",
    "probe",
    "read_spherical",
    "tag_spherical",
    "write_video",
]
