"""Records of a video file's properties and metadata; this module imports no video library."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

Projection = Literal[
    "equirectangular",
    "half_equirectangular",
    "cubemap",
    "eac",
    "mesh",
    "fisheye",
    "rectilinear",
    "unknown",
]
StereoMode = Literal["mono", "top-bottom", "left-right"]
Pose = tuple[float, float, float]  # yaw, pitch, roll in degrees
Bounds = tuple[float, float, float, float]  # top, bottom, left, right


@dataclass(frozen=True)
class SphericalMetadata:
    """Projection, stereo layout and pose of the frames, as declared by a file.

    Attributes:
        projection: how the sphere is mapped to the frames.
        stereo_mode: how the views of two eyes are packed in a frame.
        bounds: shares of the whole map that are missing at the top, bottom, left and right.
        yaw_deg: yaw as stored (V2: counter-clockwise seen from above).
        pitch_deg: pitch as stored.
        roll_deg: roll as stored.
        padding: pixels around each face of a cubemap.
        coverage: share of the sphere that a mesh covers; None if unknown or not a mesh.
        version: the source: "v1", "v2" or "stream" (FFmpeg's side data); ignored for writing.
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
class MediaInfo:
    """Properties of a video; width and height are those of the frames after rotation.

    Attributes:
        width: pixels.
        height: pixels.
        fps: the exact constant rate; the mean of a variable rate.
        frames: number of frames.
        duration_s: seconds from the first frame to the end of the last.
        codec: FFmpeg's name: h264, hevc, vp8, vp9, av1.
        container: mp4 (and mov), matroska (and webm), mpegts, ...
        rotation: counter-clockwise degrees by which the reader rotates the coded frames.
        pixel_aspect: width : height of one pixel, before rotation.
        spherical: declared spherical metadata; None for an ordinary video.
        is_variable_rate: True if some frame is shown for less than 0.5 or more than 1.5 times the
            usual duration.
    """

    width: int
    height: int
    fps: Fraction
    frames: int
    duration_s: float
    codec: str
    container: str
    rotation: int = 0
    pixel_aspect: Fraction = Fraction(1)
    spherical: SphericalMetadata | None = None
    is_variable_rate: bool = False


def frame_stride(fps: Fraction, target_fps: float) -> int:
    """Return n, where taking every n-th frame of a video comes close to a lower frame rate.

    n = max(1, round(fps / target_fps)). Clips are stored, and ordinary videos generated from, at
    this stride.
    """
    return max(1, round(float(fps) / target_fps))
