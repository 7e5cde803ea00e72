"""Video as the ffmpeg binary shows it: frame times, properties and pictures."""

import re
import subprocess
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from tests.support.ffmpeg_colors import SCALE

_ONE_THREAD = ("-threads", "1")  # with more, interlaced MPEG-4 is decoded to other pictures
_DEINTERLACE = "estdif=mode=frame:deint=interlaced"
_HDR = {"smpte2084", "arib-std-b67"}
_WIDE = {"bt2020", "smpte431", "smpte432"}  # primaries that are converted
_TO_SDR = (  # reference white: 203 cd/m²
    "zscale={given}f=bilinear:t=linear:npl=203:agamma=0,format=gbrpf32le,zscale=p=bt709:t=bt709:m=gbr:r=pc:agamma=0,format=gbrp"
)
REFUSED_MATRICES = {"ycgco", "bt2020c"}  # by the scale filter; they count as undeclared
_NOMINAL_MARGIN = 65535 / 3 / 200  # half a percent
_TO_BT709 = "zscale={given}f=bilinear:p=bt709:m=gbr:r=pc,format=gbrp"


@dataclass(frozen=True)
class Shown:
    """Description by ffmpeg of the frames that it shows, after its autorotation.

    Attributes:
        times: `[frames]` presentation times in the file, in seconds.
        width: pixels.
        height: pixels.
        coded_width: pixels before rotation.
        coded_height: lines before rotation.
        pixel_aspect: width : height of a pixel.
        pixel_format: of the decoder.
        codec: name of the codec.
        range: of the samples.
        matrix: of the samples.
        primaries: of the samples.
        transfer: of the samples.
        siting: place of the chroma samples; unspecified if undeclared.
        is_interlaced: True if a frame is marked so.
        has_matrix: True if the file has a display matrix.
        is_tilted: True if the matrix rotates by another angle than a multiple of 90 degrees.
    """

    times: NDArray[np.float64]
    width: int
    height: int
    coded_width: int
    coded_height: int
    pixel_aspect: Fraction
    pixel_format: str
    codec: str
    range: str
    matrix: str
    primaries: str
    transfer: str
    siting: str
    is_interlaced: bool
    has_matrix: bool
    is_tilted: bool

    @property
    def is_wide(self) -> bool:
        """True if the colors are converted to those of BT.709."""
        return self.transfer in _HDR or self.primaries in _WIDE


def _run(*options: str | Path) -> subprocess.CompletedProcess[bytes]:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostdin", *map(str, options)]
    result = subprocess.run(command, capture_output=True, check=False)
    assert result.returncode == 0, f"{command}\n{result.stderr.decode(errors='replace')}"
    return result


def describe(path: Path, *, keeps_times: bool = True) -> Shown:
    """Decode a file with ffmpeg and return what it says about the frames.

    Args:
        path: the file.
        keeps_times: False to let ffmpeg mend times that start again, as it does by default.
    """
    copy_times = ["-copyts"] if keeps_times else []
    options = ("-fps_mode", "passthrough", "-vf", "showinfo=checksum=0", "-f", "null", "-")
    text = _run(*copy_times, *_ONE_THREAD, "-i", path, *options).stderr.decode(errors="replace")
    frames = re.findall(
        r"n: *\d+ pts: *\S+ pts_time:(\S+) .*?fmt:(\S+) cl:(\S+) .*?sar:(\d+)/(\d+) s:(\d+)x(\d+) i:(\S)",
        text,
    )
    colors = re.search(
        r"color_range:(\S+) color_space:(\S+) color_primaries:(\S+) color_trc:(\S+)", text
    )
    stream = re.search(r"Stream #0:\d+.*?-> #0:0 \((\S+)", text)
    number = re.search(r"Stream #(0:\d+) -> #0:0", text)
    assert frames, text
    assert colors is not None, text
    assert stream is not None, text
    assert number is not None, text
    described = re.search(rf"Stream #{number[1]}.*?: Video: .*?, (\d+)x(\d+)", text)
    assert described, text
    angle = re.search(r"Display Matrix: rotation of (\S+)", text.split("Stream mapping")[0])
    _, pixel_format, siting, aspect_x, aspect_y, width, height, _ = frames[0]
    names = [name.replace("reserved", "unknown") for name in colors.groups()]
    return Shown(
        times=np.array([float(frame[0]) for frame in frames]),
        width=int(width),
        height=int(height),
        coded_width=int(described[1]),
        coded_height=int(described[2]),
        pixel_aspect=Fraction(int(aspect_x) or 1, int(aspect_y)) if int(aspect_x) else Fraction(1),
        pixel_format=pixel_format,
        codec=stream[1],
        range=names[0],
        matrix=names[1],
        primaries=names[2],
        transfer=names[3],
        siting=siting,
        is_interlaced=any(frame[7] != "P" for frame in frames),
        has_matrix=angle is not None,
        is_tilted=angle is not None and float(angle[1]) % 90 != 0,
    )


def color_chain(shown: Shown) -> str:
    """Return the filters that convert to R'G'B', as documented."""
    if shown.is_wide:
        chain = _TO_SDR if shown.transfer in _HDR else _TO_BT709
        return _place_chroma(shown) + chain.format(given=_fill_gaps(shown))
    scale = SCALE
    matrix = shown.matrix
    if matrix in REFUSED_MATRICES:
        scale, matrix = f"setparams=colorspace=unknown,{scale}", "unknown"
    if shown.siting != "unspecified":  # the filter ignores the siting that frames carry
        scale += f":in_chroma_loc={shown.siting}"
    if matrix == "unknown" and (shown.coded_width >= 1280 or shown.coded_height > 576):
        scale += ":in_color_matrix=bt709"
    return scale


def _place_chroma(shown: Shown) -> str:
    """Return a filter that tells zscale of undeclared chroma what swscale assumes."""
    return "setparams=chroma_location=center," if shown.siting == "unspecified" else ""


def _fill_gaps(shown: Shown) -> str:
    """Return zscale's options for what a wide-gamut video does not declare."""
    options = {
        "min": "bt2020nc" if shown.matrix == "unknown" else "",
        "pin": {"unknown": "bt2020", "smpte431": "smpte432"}.get(shown.primaries, ""),
        "tin": "bt709" if shown.transfer == "unknown" else "",
    }
    return "".join(f"{name}={value}:" for name, value in options.items() if value)


def decode(path: Path, shown: Shown) -> NDArray[np.uint8]:
    """Return all frames as ffmpeg converts them, uint8 [n, height, width, 3].

    ffmpeg rotates before all other filters, which breaks interlaced fields apart and moves the
    subsampled chroma; so pictures are converted first, and it rotates the result.

    Args:
        path: the file.
        shown: the result of `describe`.
    """
    if shown.is_tilted:
        return _read_frames(path, color_chain(shown), shown)
    return _convert_then_rotate(path, color_chain(shown), shown)


def decode_plainly(path: Path, shown: Shown) -> NDArray[np.uint8]:
    """Return all frames of a plain ffmpeg command with swscale's flags, as `decode` does."""
    return _read_frames(path, SCALE, shown)


def explain_plain_difference(shown: Shown) -> list[str]:
    """Return why `decode` may differ from `decode_plainly`; empty if it must not."""
    is_subsampled = re.search(r"42[02]|41[01]|440", shown.pixel_format) is not None
    is_sited = is_subsampled and shown.siting not in {"unspecified", "center"}
    causes = {
        "deinterlaced": shown.is_interlaced,
        "converted to SDR in BT.709": shown.is_wide,
        "undeclared HD": "in_color_matrix" in color_chain(shown),
        "unconvertible matrix": shown.matrix in REFUSED_MATRICES,
        f"chroma {shown.siting}": is_sited,
        "rotated after conversion": shown.has_matrix,
    }
    return [cause for cause, applies in causes.items() if applies]


def find_nominal(path: Path, shown: Shown) -> NDArray[np.bool_]:
    """Return where wide-gamut R'G'B' is in 0 .. 1, before its conversion, [n, height, width].

    Elsewhere, mostly at colored edges with subsampled chroma, no standard defines the colors.
    """
    to_rgb = (
        f"{_place_chroma(shown)}zscale={_fill_gaps(shown)}f=bilinear:m=gbr:r=pc,format=gbrpf32le"
    )
    third = "exposure=exposure=-1:black=-1"  # from -1 .. 2 to 0 .. 1
    codes = _convert_then_rotate(path, f"{to_rgb},{third},format=gbrp16le", shown, 16)
    low, high = 65535 / 3 - _NOMINAL_MARGIN, 65535 * 2 / 3 + _NOMINAL_MARGIN
    return np.all((codes >= low) & (codes <= high), axis=-1)


def _convert_then_rotate(path: Path, graph: str, shown: Shown, depth: int = 8) -> NDArray[Any]:
    if shown.is_interlaced:
        graph = f"{_DEINTERLACE},{graph}"
    if not shown.has_matrix:
        return _read_frames(path, graph, shown, depth)
    with tempfile.TemporaryDirectory() as folder:
        converted = Path(folder) / "rgb.mkv"  # lossless, with the display matrix
        rgb = "gbrp" if depth == 8 else "gbrp16le"
        options = ("-fps_mode", "passthrough", "-vf", f"{graph},format={rgb},setfield=prog")
        encoder = ("-c:v", "ffv1", "-level", "3", *_ONE_THREAD)
        _run("-noautorotate", *_ONE_THREAD, "-i", path, *options, *encoder, converted)
        return _read_frames(converted, "null", shown, depth)


def _read_frames(path: Path, graph: str, shown: Shown, depth: int = 8) -> NDArray[Any]:
    options = ("-fps_mode", "passthrough", "-vf", graph)
    output = ("-f", "rawvideo", "-pix_fmt", "rgb24" if depth == 8 else "rgb48le", "pipe:1")
    data = _run(*_ONE_THREAD, "-i", path, *options, *output).stdout
    dtype = np.uint8 if depth == 8 else np.uint16
    return np.frombuffer(data, dtype).reshape(-1, shown.height, shown.width, 3)
