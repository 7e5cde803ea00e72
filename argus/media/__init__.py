"""Video files in and out: reading through one interface, probing, writing, spherical metadata, and a child process for hostile input.

What the pictures mean (layouts, filters, projections) does not live here.
"""

from argus.media.encode import encode_clip, write_video
from argus.media.isolation import isolated
from argus.media.open import open_video
from argus.media.probing import MediaInfo, probe
from argus.media.pyav_reader import decode_clip
from argus.media.reader import VideoReader
from argus.media.spherical import SphericalMetadata, read_spherical
from argus.media.tagging import tag_spherical

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
