"""Recordings of two-lens cameras: how they are recognized, and of which pictures they consist.

Recordings are recognized by their content. A GoPro MAX writes an mp4 with two HEVC tracks of equal
size whose proportions no other video has (`argus.sphere.find_gopro_layout`). An Insta360 ends its
files with a trailer, whose last 32 bytes are the same in all of them (ExifTool's QuickTimeStream.pl
reads it). Its pictures lie in two tracks of one file, in a file for each lens, or side by side in
one track.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from argus.errors import InvalidInput, VideoError
from argus.media.info import MediaInfo, SphericalMetadata, Track
from argus.media.mp4.boxes import find_payloads, read_moov
from argus.sphere import GoproLayout, find_gopro_layout
from schemas.names import Reason

GOPRO_MAX = "GoPro MAX"
UNKNOWN_GOPRO = "GoPro"
"""Camera of a recording with two tracks by GoPro whose layout is not known."""
INSTA360 = "Insta360"
TWO_LENSES = "two lenses"
"""Camera of a recording of any other make, which is read because lenses were given."""

_INSTA360_MAGIC = b"8db42d694ccc418790edff439fe026bf"
_INSTA360_VIDEO = ".insv"
_GOPRO_HANDLER = b"GoPro H.265"  # name of the handler of its video tracks
_LENS_FILE_NAME = re.compile(r"(.*_)([01])(\d_\d+\.\w+)")  # VID_…_00_123.insv and VID_…_10_123.insv
_ASPECT_TOLERANCE = 0.01


@dataclass(frozen=True)
class Recording:
    """A recording of a two-lens camera.

    Attributes:
        camera: make or model.
        sources: file and number of the track of each picture, one or two; None for the track that
            is read by default. One track holds both pictures side by side.
        gopro: sizes in the tracks of a GoPro MAX; None for fisheye lenses.
    """

    camera: str
    sources: tuple[tuple[Path, int | None], ...]
    gopro: GoproLayout | None = None


def describe_recording(path: Path, info: MediaInfo) -> MediaInfo:
    """Return the description of a file with its camera.

    Args:
        path: the file.
        info: the description of the track that is read by default.

    Returns:
        For a GoPro MAX the description of the map that its tracks are joined to; for an Insta360,
        or a GoPro with an unknown layout, that of one track, with the camera; otherwise `info`.
    """
    tracks = _find_gopro_tracks(info)
    if tracks:
        return describe_map(info, GOPRO_MAX, _get_layout(tracks[0]).erp_size)
    if _is_unknown_gopro(path, info):
        return replace(info, camera=UNKNOWN_GOPRO)
    return replace(info, camera=INSTA360) if _is_insta360(path, info) else info


def describe_map(info: MediaInfo, camera: str, erp_size: tuple[int, int]) -> MediaInfo:
    """Return the description of the map that a recording becomes.

    Args:
        info: the description of its first picture.
        camera: make or model.
        erp_size: (height, width) of the map.
    """
    height, width = erp_size
    return replace(
        info,
        width=width,
        height=height,
        rotation=0,
        is_mirrored=False,
        pixel_aspect=Fraction(1),
        spherical=SphericalMetadata(),
        track_choice="",
        camera=camera,
    )


def find_recording(
    path: Path, info: MediaInfo, *, has_lenses: bool = False, second: Path | None = None
) -> Recording | None:
    """Return which pictures a file consists of; None if it is an ordinary video.

    Args:
        path: the file.
        info: the description of the track that is read by default.
        has_lenses: True if the caller knows the lenses: then a file of any make is a recording.
        second: the file of the second lens; by default it is found by its name.

    Raises:
        VideoError: UNSUPPORTED_LAYOUT: the lenses have to be given, or a picture is missing.
        InvalidInput: a second file is given, but the first one has all pictures.
    """
    tracks = _find_gopro_tracks(info)
    if tracks:
        if second or has_lenses:
            raise InvalidInput(
                f"{path} is a recording of a GoPro MAX, which is one file and needs no lenses; "
                "omit the second file and --lens"
            )
        sources = tuple((path, track.number) for track in tracks)
        return Recording(GOPRO_MAX, sources, _get_layout(tracks[0]))
    if _is_unknown_gopro(path, info):
        raise VideoError(
            Reason.UNSUPPORTED_LAYOUT,
            f"{path}: a GoPro recording with two tracks, of which only the layout of the MAX is "
            "known; export it with GoPro's player first",
        )
    is_insta360 = _is_insta360(path, info)
    if not has_lenses:
        if is_insta360 or second:
            raise _lenses_missing(path, is_insta360=is_insta360)
        return None
    return Recording(
        INSTA360 if is_insta360 else TWO_LENSES, _find_lens_sources(path, info, second)
    )


def require_no_camera(path: Path, info: MediaInfo) -> None:
    """Raise VideoError(UNSUPPORTED_LAYOUT) if a file holds the raw pictures of a two-lens camera.

    Args:
        path: the file.
        info: what `probe` returns.
    """
    if info.camera is not None:
        lens = " --lens FILE" if info.camera == INSTA360 else ""
        raise VideoError(
            Reason.UNSUPPORTED_LAYOUT,
            f"{path}: a recording of a two-lens camera ({info.camera}), whose pictures are not a "
            f"360° map yet; stitch it first: argus stitch IN OUT.mp4{lens}",
        )


def is_insta360_file(path: Path) -> bool:
    """Return whether a file ends with Insta360's trailer."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - len(_INSTA360_MAGIC)))
        return file.read() == _INSTA360_MAGIC


def _is_insta360(path: Path, info: MediaInfo) -> bool:
    """Return whether a file holds the raw pictures of an Insta360.

    Its cameras also write ordinary videos with the trailer, of one lens and rectangular; and a
    file that declares a projection has been stitched.
    """
    declared = info.spherical.projection if info.spherical else "undeclared"
    has_raw_suffix = path.suffix.lower() == _INSTA360_VIDEO
    if declared != "undeclared" or not (has_raw_suffix or is_insta360_file(path)):
        return False
    is_square = _has_aspect(info, 1)
    is_pair = is_square and len(_list_equal_tracks(info)) == 2
    return is_pair or _has_aspect(info, 2) or (is_square and has_raw_suffix)


def _find_lens_sources(
    path: Path, info: MediaInfo, second: Path | None
) -> tuple[tuple[Path, int | None], ...]:
    tracks = _list_equal_tracks(info)
    if len(tracks) == 2:
        if second:
            raise InvalidInput(f"{path} has the pictures of both lenses; omit {second}")
        return tuple((path, track.number) for track in tracks)
    if _has_aspect(info, 2) and not second:
        return ((path, info.video_track),)
    return tuple((file, None) for file in _order_files(path, second or _find_partner(path)))


def _order_files(path: Path, second: Path) -> tuple[Path, Path]:
    """Return the files of both lenses, the one named `_00_` first; otherwise as given."""
    own, other = _LENS_FILE_NAME.fullmatch(path.name), _LENS_FILE_NAME.fullmatch(second.name)
    if own and other and own[2] > other[2]:
        return second, path
    return path, second


def _find_partner(path: Path) -> Path:
    """Return the file of the other lens by its name.

    Raises:
        VideoError: UNSUPPORTED_LAYOUT: there is none.
    """
    name = _LENS_FILE_NAME.fullmatch(path.name)
    partner = path.with_name(f"{name[1]}{1 - int(name[2])}{name[3]}") if name else None
    if partner and partner.is_file():
        return partner
    missing = f"{partner.name} is not beside it" if partner else "no second file is given"
    raise VideoError(
        Reason.UNSUPPORTED_LAYOUT,
        f"{path}: it shows one lens of two, but {missing}; give both files: "
        "argus stitch FIRST SECOND OUT.mp4 --lens FILE",
    )


def _lenses_missing(path: Path, *, is_insta360: bool) -> VideoError:
    kind = "an Insta360 recording" if is_insta360 else "a recording of two files"
    return VideoError(
        Reason.UNSUPPORTED_LAYOUT,
        f"{path}: {kind} with a fisheye picture for each lens, whose parameters are needed to join "
        "them; give a lens file: argus stitch IN OUT.mp4 --lens FILE, or --lens nominal:200 for "
        "ideal lenses of 200 degrees",
    )


def _find_gopro_tracks(info: MediaInfo) -> tuple[Track, ...]:
    """Return the upper and the lower track of a GoPro MAX recording; empty for other files."""
    tracks = tuple(
        track
        for track in info.tracks
        if track.kind == "video"
        and track.codec == "hevc"
        and find_gopro_layout(track.width, track.height)
    )
    sizes = {(track.width, track.height) for track in tracks}
    return tracks if len(tracks) == 2 and len(sizes) == 1 else ()


def _is_unknown_gopro(path: Path, info: MediaInfo) -> bool:
    """Return whether a file has two equal HEVC tracks by a GoPro, which are not those of a MAX."""
    if info.container != "mp4" or info.codec != "hevc" or len(_list_equal_tracks(info)) != 2:
        return False
    handlers = [
        handler
        for track in find_payloads(read_moov(path), b"trak")
        for handler in find_payloads(track, b"mdia", b"hdlr")
    ]
    return sum(_GOPRO_HANDLER in handler for handler in handlers) >= 2


def _get_layout(track: Track) -> GoproLayout:
    layout = find_gopro_layout(track.width, track.height)
    assert layout is not None, "the track was found by its layout"
    return layout


def _list_equal_tracks(info: MediaInfo) -> Sequence[Track]:
    """Return the video tracks of the size and codec of the one that is read."""
    videos = [track for track in info.tracks if track.kind == "video"]
    read = next((track for track in videos if track.number == info.video_track), None)
    return [
        track
        for track in videos
        if read
        and (track.width, track.height, track.codec) == (read.width, read.height, read.codec)
    ]


def _has_aspect(info: MediaInfo, aspect: int) -> bool:
    return abs(info.width / info.height - aspect) <= aspect * _ASPECT_TOLERANCE
