"""Description of a video from its stream, its first frame and its times."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argus.media.frame_index import FirstFrame, FrameTimes
from argus.media.info import (
    STEP_TOLERANCE,
    UNDECLARED_COLOR,
    Color,
    MediaInfo,
    SphericalMetadata,
)
from argus.media.orientation import read_orientation
from argus.media.tracks import describe_tracks, explain_choice, name_container

_RATE_TOLERANCE = Fraction(1, 100)
_UNKNOWN = "unknown"
_RGB_MATRIX = 0


def _number_names(names: str) -> dict[int, str]:
    return dict(enumerate(names.split()))


# Names of FFmpeg's av_color_space_name and its like, for the numbers of Rec. ITU-T H.273.
_MATRICES = _number_names(
    "gbr bt709 unknown reserved fcc bt470bg smpte170m smpte240m ycgco bt2020nc bt2020c smpte2085 "
    "chroma-derived-nc chroma-derived-c ictcp ipt-c2 ycgco-re ycgco-ro"
)
_RANGES = _number_names("unknown tv pc")
_TRANSFERS = _number_names(
    "reserved bt709 unknown reserved bt470m bt470bg smpte170m smpte240m linear log100 log316 "
    "iec61966-2-4 bt1361e iec61966-2-1 bt2020-10 bt2020-12 smpte2084 smpte428 arib-std-b67"
)
_PRIMARIES = _number_names(
    "reserved bt709 unknown reserved bt470m bt470bg smpte170m smpte240m film bt2020 smpte428 "
    "smpte431 smpte432"
) | {22: "ebu3213"}


def describe_video(
    container: Any,
    stream: Any,
    first: FirstFrame,
    times: FrameTimes,
    spherical: SphericalMetadata | None,
    container_color: Color,
) -> MediaInfo:
    """Describe a video.

    Args:
        container: an open PyAV container.
        stream: the stream that is read.
        first: its first frame.
        times: the times of all its frames.
        spherical: the metadata that the file declares.
        container_color: the color of the stream before any frame was decoded.
    """
    frame = first.frame
    orientation = read_orientation(frame)
    width, height = frame.width, frame.height
    # The container's ratio counts before the codec's.
    pixel_aspect = stream.sample_aspect_ratio or first.pixel_aspect or Fraction(1)
    if orientation.swaps_axes:
        width, height, pixel_aspect = height, width, 1 / pixel_aspect
    start = int(times.pts[0])
    span = (int(times.pts[-1]) - start) * times.time_base
    fps = _choose_rate(stream, len(times.pts), span)
    irregularity = _measure_irregularity(np.diff(times.pts) * float(times.time_base), float(fps))
    last = times.last_duration * times.time_base if irregularity else 0
    return MediaInfo(
        width=width,
        height=height,
        fps=fps,
        frames=len(times.pts),
        duration_s=float(span + (last or 1 / fps)),
        codec=stream.codec_context.codec.canonical_name,
        container=name_container(container),
        rotation=orientation.rotation_deg,
        is_mirrored=orientation.is_mirrored,
        pixel_aspect=pixel_aspect,
        spherical=spherical,
        color=_describe_color(frame, container_color),
        is_interlaced=frame.interlaced_frame,
        start_s=float(start * times.time_base),
        irregularity=irregularity,
        is_variable_rate=irregularity > 0,
        has_edit_list=times.is_edited,
        video_track=stream.index,
        track_choice=explain_choice(container, stream),
        tracks=describe_tracks(container),
        bit_depth=frame.format.components[0].bits,
    )


def read_color(source: Any) -> Color:
    """Return the color that a PyAV frame or codec context declares."""
    return Color(
        matrix=_MATRICES.get(read_matrix(source), _UNKNOWN),
        range=_RANGES.get(int(source.color_range), _UNKNOWN),
        transfer=_TRANSFERS.get(int(source.color_trc), _UNKNOWN),
        primaries=_PRIMARIES.get(int(source.color_primaries), _UNKNOWN),
    )


def read_matrix(source: Any) -> int:
    """Return the number of the matrix that a PyAV frame or codec context declares.

    That of RGB counts as undeclared for other pictures: FFmpeg writes it to FLV for want of one.
    """
    matrix = int(source.colorspace)
    is_rgb = source.format is not None and source.format.is_rgb
    return UNDECLARED_COLOR if matrix == _RGB_MATRIX and not is_rgb else matrix


def complete_color(frame: Any, color: Color) -> None:
    """Set the matrix, transfer function and primaries that a decoded frame does not declare."""
    gaps = {
        "colorspace": (_MATRICES, color.matrix),
        "color_trc": (_TRANSFERS, color.transfer),
        "color_primaries": (_PRIMARIES, color.primaries),
    }
    for attribute, (names, name) in gaps.items():
        if getattr(frame, attribute) == UNDECLARED_COLOR and name != _UNKNOWN:
            setattr(frame, attribute, next(key for key in names if names[key] == name))


def _describe_color(frame: Any, container_color: Color) -> Color:
    """Return how the samples of the first frame become colors.

    The codec's declaration counts before the container's. FFmpeg's decoder of HEVC drops what only
    the container declares. RGB needs no declaration.
    """
    complete_color(frame, container_color)
    color = read_color(frame)
    if not frame.format.is_rgb:
        return color
    return replace(
        color,
        matrix="gbr" if color.matrix == _UNKNOWN else color.matrix,
        range="pc" if color.range == _UNKNOWN else color.range,
    )


def _measure_irregularity(steps: NDArray[np.float64], fps: float) -> float:
    """Return the share of the duration in which frames have another than the usual duration.

    The usual duration is the mean, or the median if the durations differ.

    Args:
        steps: seconds from each frame to the next.
        fps: the mean rate, or the declared one if it is close.
    """
    for usual in (1 / fps, float(np.median(steps)) if steps.size else 0.0):
        is_unusual = np.abs(steps - usual) > STEP_TOLERANCE * usual
        if not is_unusual.any():
            return 0.0
    return float(steps[is_unusual].sum() / steps.sum())


def _choose_rate(stream: Any, frames: int, span: Fraction) -> Fraction:
    """Return the header's rate if the timestamps agree with it, else the mean rate."""
    declared = [Fraction(rate) for rate in (stream.guessed_rate, stream.average_rate) if rate]
    if frames < 2 or span <= 0:
        return declared[-1] if declared else Fraction(1)
    measured = (frames - 1) / span
    return next(
        (rate for rate in declared if abs(rate / measured - 1) <= _RATE_TOLERANCE), measured
    )
