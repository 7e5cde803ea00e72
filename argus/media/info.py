"""Records of a video file's properties and metadata; this module imports no video library."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from argus.errors import InvalidInput

Projection = Literal[
    "equirectangular",
    "half_equirectangular",
    "cubemap",
    "eac",
    "mesh",
    "fisheye",
    "rectilinear",
    "undeclared",
    "unknown",
]
StereoMode = Literal["mono", "top-bottom", "left-right"]
Pose = tuple[float, float, float]  # yaw, pitch, roll in degrees
Bounds = tuple[float, float, float, float]  # top, bottom, left, right

DEFAULT_TRACK_BONUS = 5_000_000
"""Pixels for which the default track counts more in the choice of the track that is read.

As in fftools' `map_auto_video`.
"""

STEP_TOLERANCE = 0.5
"""Deviation from the usual duration of a frame, relative to it, above which one is irregular."""

UNDECLARED_COLOR = 2
"""Number of an unspecified matrix, transfer function or primaries in Rec. ITU-T H.273."""


@dataclass(frozen=True)
class SphericalMetadata:
    """Projection, stereo layout and pose of the frames, as declared by a file.

    Attributes:
        projection: how the sphere is mapped to the frames; "undeclared" if only `stereo_mode` is
            declared, as by any 3D video, and "unknown" if a projection of another kind is.
        stereo_mode: how the views of two eyes are packed in a frame.
        bounds: shares of the whole map that are missing at the top, bottom, left and right.
        yaw_deg: yaw as stored (V2: counter-clockwise seen from above).
        pitch_deg: pitch as stored.
        roll_deg: roll as stored.
        padding: pixels around each face of a cubemap.
        coverage: share of the sphere that a mesh covers; None if unknown or not a mesh.
        version: the source: "v1", "v2" or "stream" (FFmpeg's side data); ignored for writing.
        problem: what is wrong with the declaration and is left out, such as impossible bounds;
            empty for a sound one, and ignored for writing.
    """

    projection: Projection = "equirectangular"
    stereo_mode: StereoMode = "mono"
    bounds: Bounds = (0.0, 0.0, 0.0, 0.0)
    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    padding: int = 0
    coverage: float | None = None
    version: str = "v2"
    problem: str = ""

    @property
    def is_full_sphere(self) -> bool:
        """True if the frames are declared to show all directions."""
        if self.projection == "mesh":
            return self.coverage is not None and self.coverage > 0.99
        return self.projection in {"equirectangular", "cubemap", "eac"} and not any(self.bounds)

    @property
    def is_half_sphere(self) -> bool:
        """True if the frames are declared to be a map of the front hemisphere (VR180)."""
        top, bottom, left, right = self.bounds
        return self.projection == "half_equirectangular" or (
            self.projection == "equirectangular"
            and max(top, bottom) < 0.01
            and max(abs(left - 0.25), abs(right - 0.25)) < 0.01
        )


@dataclass(frozen=True)
class Color:
    """Encoding of colors in the samples of a video, in FFmpeg's names; "unknown" if undeclared.

    Attributes:
        matrix: bt709, smpte170m, bt2020nc, gbr, ...
        range: tv (16 .. 235) or pc (0 .. 255).
        transfer: bt709, smpte2084 (PQ), arib-std-b67 (HLG), ...
        primaries: bt709, bt2020, smpte432 (Display P3), ...
    """

    matrix: str = "unknown"
    range: str = "unknown"
    transfer: str = "unknown"
    primaries: str = "unknown"

    @property
    def is_hdr(self) -> bool:
        """True if the transfer function is PQ or HLG."""
        return self.transfer in {"smpte2084", "arib-std-b67"}


@dataclass(frozen=True)
class Track:
    """A stream of a file.

    Attributes:
        number: position in the file, from 0, as FFmpeg counts.
        kind: video, audio, subtitle, data or attachment.
        codec: FFmpeg's name; "unknown" if it knows none.
        language: three letters (ISO 639-2); empty if undeclared.
        title: the name that players show; empty if undeclared.
        is_default: True if players choose it unasked.
        width: pixels as coded; 0 for other kinds than video.
        height: pixels as coded; 0 for other kinds than video.
    """

    number: int
    kind: str
    codec: str
    language: str = ""
    title: str = ""
    is_default: bool = False
    width: int = 0
    height: int = 0


@dataclass(frozen=True)
class MediaInfo:
    """Description of a video file; all of it is about the frames as they are read.

    Attributes:
        width: pixels, after rotation.
        height: pixels, after rotation.
        fps: the exact constant rate; the mean of a variable rate.
        frames: number of frames.
        duration_s: seconds from the first frame to the end of the last.
        codec: FFmpeg's name: h264, hevc, vp8, vp9, av1.
        container: mp4 (and mov), matroska (and webm), mpegts, ...
        rotation: counter-clockwise degrees by which the reader rotates the coded frames, 0 .. 359;
            the frame keeps its size and its corners turn black unless it is a multiple of 90.
        is_mirrored: True if the reader flips the coded frames left to right before it rotates.
        pixel_aspect: width : height of one pixel, after rotation; the container's ratio counts
            before the codec's.
        spherical: declared spherical metadata; None for an ordinary video.
        color: as declared; frames are always read as SDR in BT.709.
        is_interlaced: True if the first frame holds two fields, which the reader deinterlaces.
        start_s: presentation time of the first frame in the file, in seconds.
        irregularity: share of the duration in which frames are shown for less than 0.5 or more
            than 1.5 times the usual duration, 0 .. 1.
        is_variable_rate: True if `irregularity` is not 0.
        has_edit_list: True if an edit list of the container hides frames or shows some twice.
        video_track: number of the track that is read.
        track_choice: why that track is read, if there are several video tracks; else empty.
        tracks: all streams of the file, in order.
        bit_depth: bits per sample as coded; frames are always read with 8.
        camera: the two-lens camera whose tracks are joined, such as "GoPro MAX"; None for others.
    """

    width: int
    height: int
    fps: Fraction
    frames: int
    duration_s: float
    codec: str
    container: str
    rotation: int = 0
    is_mirrored: bool = False
    pixel_aspect: Fraction = Fraction(1)
    spherical: SphericalMetadata | None = None
    color: Color = Color()
    is_interlaced: bool = False
    start_s: float = 0.0
    irregularity: float = 0.0
    is_variable_rate: bool = False
    has_edit_list: bool = False
    video_track: int = 0
    track_choice: str = ""
    tracks: tuple[Track, ...] = ()
    bit_depth: int = 8
    camera: str | None = None


def frame_stride(fps: Fraction, target_fps: float) -> int:
    """Return n, where taking every n-th frame of a video comes close to a lower frame rate.

    n = max(1, round(fps / target_fps)). Clips are stored, and ordinary videos generated from, at
    this stride.
    """
    return max(1, round(float(fps) / target_fps))


def check_map_size(size: tuple[int, int] | None) -> None:
    """Raise InvalidInput if (height, width) cannot be the size of a map in H.264."""
    if size is None:
        return
    height, width = size
    if height < 16 or width != 2 * height or height % 2:
        raise InvalidInput(
            f"the size is {width}x{height}, but a 360° map is twice as wide as high, and its "
            "height is an even number from 16 on, such as 3840x1920"
        )
