"""Copies of a video that players show alike, although the files describe their pictures otherwise.

All are written by the bundled ffmpeg without loss, except for colors.
"""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from argus.media import probe
from tests.support.ffmpeg import run_ffmpeg
from tests.support.ffmpeg_colors import HDR_CHAIN

_LOSSLESS = ("-c:v", "libx264", "-qp", "0", "-g", "12", "-bf", "0", "-pix_fmt", "yuv420p")
_HEVC = ("-c:v", "libx265", "-x265-params", "lossless=1:log-level=none:keyint=12")


def _redeclare(source: Path, path: Path, stored: str, before: tuple[str, ...], *after: str) -> None:
    """Encode with filters, then copy with declarations that undo them."""
    coded = path.with_name(f"coded-{path.stem}.mp4")
    run_ffmpeg("-i", source, "-vf", stored, *_LOSSLESS, coded)
    run_ffmpeg(*before, "-i", coded, "-c", "copy", *after, path)
    coded.unlink()


def _turn(stored: str, *before: str) -> Callable[[Path, Path], None]:
    return lambda source, path: _redeclare(source, path, stored, before)


def _squeeze(source: Path, path: Path) -> None:
    info = probe(source)
    _redeclare(source, path, "scale=iw/2:ih", (), "-aspect", f"{info.width}:{info.height}")


def _squeeze_in_codec(source: Path, path: Path) -> None:
    _redeclare(source, path, "scale=iw/2:ih", (), "-bsf:v", "h264_metadata=sample_aspect_ratio=2/1")


def _squeeze_and_turn(source: Path, path: Path) -> None:
    info = probe(source)
    aspect = Fraction(info.height, info.width)  # of the coded frames
    stored = "scale=iw/2:ih,transpose=cclock"
    before = ("-display_rotation", "-90")
    _redeclare(source, path, stored, before, "-aspect", f"{aspect.numerator}:{aspect.denominator}")


def _cut(source: Path, path: Path) -> None:
    """Leave out the first second by an edit list, in the middle of a group of pictures."""
    run_ffmpeg("-ss", "1", "-i", source, "-c", "copy", path)


def _join(source: Path, path: Path) -> None:
    """Join two transport streams byte by byte, so that times begin again."""
    part = path.with_suffix(".part.ts")
    run_ffmpeg("-i", source, "-c", "copy", part)
    path.write_bytes(2 * part.read_bytes())
    part.unlink()


def _declare_hdr(transfer: str) -> Callable[[Path, Path], None]:
    """Dim the pictures, and call them HDR."""
    colors = f"colorspace=bt2020nc:color_primaries=bt2020:color_trc={transfer}:range=tv"
    chain = f"lutrgb=r=val*0.6:g=val*0.6:b=val*0.6,format=yuv420p10le,setparams={colors}"

    def alter(source: Path, path: Path) -> None:
        run_ffmpeg("-i", source, "-vf", chain, *_HEVC, path)

    return alter


ALTERATIONS: dict[str, Callable[[Path, Path], None]] = {
    "quarter_turn.mp4": _turn("transpose=cclock", "-display_rotation", "-90"),
    "three_quarter_turn.mov": _turn("transpose=clock", "-display_rotation", "90"),
    "half_turn.mp4": _turn("hflip,vflip", "-display_rotation", "180"),
    "mirror.mp4": _turn("hflip", "-display_hflip"),
    "flip.mov": _turn("vflip", "-display_vflip"),
    "squeezed.mp4": _squeeze,
    "squeezed.mkv": _squeeze,
    "squeezed.ts": _squeeze_in_codec,
    "squeezed_turn.mp4": _squeeze_and_turn,
    "edit_list.mp4": _cut,
    "joined.ts": _join,
    "pq.mp4": _declare_hdr("smpte2084"),
    "hlg.mkv": _declare_hdr("arib-std-b67"),
}


def straighten(source: Path, path: Path) -> Path:
    """Let ffmpeg write an ordinary video, of 10 frames per second, of the pictures that it shows.

    The program leaves no time between the frames at a join, which a player cannot show so.
    """
    hdr = HDR_CHAIN.format(given="") + ",scale=out_color_matrix=bt601," if _is_hdr(source) else ""
    shape = "scale=trunc(iw*sar/2)*2:ih,setsar=1"
    if source.stem == "joined":
        shape += ",settb=1/90000,setpts=9000*N"
    run_ffmpeg("-i", source, "-vf", f"{hdr}{shape}", "-fps_mode", "passthrough", *_LOSSLESS, path)
    return path


def _is_hdr(path: Path) -> bool:
    return path.stem in {"pq", "hlg"}
