"""Pictures as the ffmpeg program converts them, and videos of exact samples."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.support.ffmpeg import run_ffmpeg

SCALE = "scale=flags=area+accurate_rnd+bitexact+full_chroma_int+full_chroma_inp"
# The chains that define the conversion of PQ and HLG, as documented.
HDR_CHAIN = "zscale={given}p=bt709:t=bt709:m=gbr:npl=203:agamma=0,format=gbrp"
LUMA_WEIGHTS = {"bt709": (0.2126, 0.0722), "bt2020nc": (0.2627, 0.0593)}
ENCODERS = {
    "ffv1": ("ffv1",),
    "h264": ("libx264", "-qp", "0"),
    "h264rgb": ("libx264rgb", "-qp", "0"),
    "hevc": ("libx265", "-x265-params", "lossless=1:log-level=none"),
    "vp9": ("libvpx-vp9", "-lossless", "1", "-cpu-used", "8"),
    "prores": ("prores_ks",),
    "mpeg2": ("mpeg2video", "-q:v", "2"),
}


def filter_frames(path: Path, chain: str, height: int, width: int) -> NDArray[np.uint8]:
    """Return all frames after a chain of filters, uint8 RGB [n, height, width, 3]."""
    output = ("-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gbrp", "-")
    data = run_ffmpeg("-i", path, "-vf", f"{chain},format=gbrp", *output)
    green_blue_red = np.frombuffer(data, np.uint8).reshape(-1, 3, height, width)
    return green_blue_red[:, [2, 0, 1]].transpose(0, 2, 3, 1)


def encode(path: Path, codec: str, *source: str | Path, data: bytes | None = None) -> Path:
    """Encode what `source` describes, input options and filters, with a key of ENCODERS."""
    run_ffmpeg(*source, "-c:v", *ENCODERS[codec], "-strict", "-2", path, data=data)
    return path


def describe_colors(**colors: str) -> str:
    """Return the filter that declares colors: range, colorspace, color_primaries, color_trc."""
    return "setparams=" + ":".join(f"{name}={value}" for name, value in colors.items())


def sample_gamut(count: int) -> NDArray[np.float64]:
    """Return R'G'B' colors in 0 .. 1, [count, 3]: grays, ramps of six hues, random ones."""
    ramp = np.linspace(0, 1, 200)[:, None]
    hues = [ramp * [code & 1, code >> 1 & 1, code >> 2] for code in range(1, 7)]
    grays = np.linspace(0, 1, 1024)[:, None] * [1, 1, 1]
    colors = np.concatenate([grays, *hues])
    rest = np.random.default_rng(5).random((count - len(colors), 3))
    return np.concatenate([colors, rest])


def to_samples(
    colors: NDArray[np.float64], matrix: str, bits: int, *, is_full_range: bool = False
) -> NDArray[np.uint16]:
    """Return luma and chroma codes [n, 3] of R'G'B' colors by a key of LUMA_WEIGHTS."""
    k_red, k_blue = LUMA_WEIGHTS[matrix]
    luma = colors @ [k_red, 1 - k_red - k_blue, k_blue]
    blue = (colors[:, 2] - luma) / (2 * (1 - k_blue))
    red = (colors[:, 0] - luma) / (2 * (1 - k_red))
    unit, top = 1 << (bits - 8), (1 << bits) - 1
    low, swing, chroma = (0, top, top) if is_full_range else (16 * unit, 219 * unit, 224 * unit)
    codes = np.stack([low + swing * luma, 128 * unit + chroma * blue, 128 * unit + chroma * red], 1)
    return np.clip(np.rint(codes), 0, top).astype(np.uint16)
