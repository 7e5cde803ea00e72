"""Colors of frames: HDR and wide gamut to SDR, matrices, ranges and sample formats."""

from pathlib import Path

import numpy as np
import pytest

from argus.errors import VideoError
from argus.media import open_video
from schemas.names import Reason
from tests.support.dolby_vision import write_dolby_vision
from tests.support.ffmpeg import run_ffmpeg
from tests.support.ffmpeg_colors import (
    HDR_CHAIN,
    SCALE,
    describe_colors,
    encode,
    filter_frames,
    sample_gamut,
    to_samples,
)
from tests.support.videos import read_frames

PATCHES, PATCH = 128, 4  # per side, and pixels per side of one
SIDE = PATCHES * PATCH
CENTER = (..., slice(1, None, PATCH), slice(1, None, PATCH), slice(None))


def write_patches(
    path: Path, codec: str, pix_fmt: str, *, is_full_range: bool = False, **colors: str
) -> Path:
    """Encode flat patches over the whole gamut, without loss."""
    gamut = sample_gamut(PATCHES**2)
    bits = int(pix_fmt.partition("p")[2].removesuffix("le") or 8)
    depth, dtype = (f"{bits}le", "<u2") if bits > 8 else ("", "u1")
    if pix_fmt.startswith("gbr"):
        source_format = f"gbrp{depth}"
        planes = np.rint(gamut[:, [1, 2, 0]] * ((1 << bits) - 1)).astype(np.uint16)
    else:
        source_format = f"yuv444p{depth}"
        matrix = colors.get("colorspace", "bt2020nc")
        planes = to_samples(gamut, matrix, bits, is_full_range=is_full_range)
    picture = planes.T.reshape(3, PATCHES, PATCHES)
    data = np.kron(picture, np.ones((1, PATCH, PATCH), np.uint16)).astype(dtype).tobytes()
    declared = describe_colors(range="pc" if is_full_range else "tv", **colors)
    size = ("-f", "rawvideo", "-s", f"{SIDE}x{SIDE}", "-pix_fmt", source_format, "-i", "-")
    # A nearest neighbor keeps the patches exact when chroma is subsampled.
    chain = f"{declared},scale=flags=neighbor,format={pix_fmt},{declared}"
    return encode(path, codec, *size, "-vf", chain, data=data)


HDR10 = {"colorspace": "bt2020nc", "color_primaries": "bt2020", "color_trc": "smpte2084"}
HLG = HDR10 | {"color_trc": "arib-std-b67"}
RGB = {"color_primaries": "bt2020"}
UNDECLARED = {"color_trc": "smpte2084"}
P3 = HDR10 | {"color_primaries": "smpte432", "colorspace": "bt709"}


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "colors", "is_full_range", "given"),
    [
        ("pq.mkv", "ffv1", "yuv444p10le", HDR10, False, ""),
        ("pq.mp4", "hevc", "yuv420p10le", HDR10, False, ""),
        ("pq.webm", "vp9", "yuv420p10le", HDR10, True, ""),
        ("pq12.mkv", "ffv1", "yuv422p12le", HDR10, True, ""),
        ("pq-rgb.mkv", "ffv1", "gbrp10le", RGB | {"color_trc": "smpte2084"}, False, ""),
        ("pq-p3.mkv", "ffv1", "yuv444p10le", P3, False, ""),
        ("pq-bare.mkv", "ffv1", "yuv444p10le", UNDECLARED, False, "pin=bt2020:min=bt2020nc:"),
        ("hlg.mkv", "ffv1", "yuv444p10le", HLG, False, ""),
        ("hlg.ts", "hevc", "yuv422p10le", HLG, False, ""),
        ("hlg.mov", "hevc", "yuv420p10le", HLG, True, ""),
        ("hlg-rgb.mp4", "hevc", "gbrp10le", RGB | {"color_trc": "arib-std-b67"}, False, ""),
        ("hlg-p3.mkv", "ffv1", "yuv444p12le", P3 | {"color_trc": "arib-std-b67"}, False, ""),
    ],
)
def test_hdr_is_the_documented_chain(tmp_path, name, codec, pix_fmt, colors, is_full_range, given):
    path = write_patches(tmp_path / name, codec, pix_fmt, is_full_range=is_full_range, **colors)
    expected = filter_frames(path, HDR_CHAIN.format(given=given), SIDE, SIDE)
    difference = np.abs(read_frames(path)[CENTER].astype(int) - expected[CENTER])
    assert difference.max() <= 2
    assert difference.mean() < 0.02


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
@pytest.mark.parametrize("gain", [0.25, 1, 12])
def test_hdr_pictures_have_40_db(tmp_path, transfer, gain):
    """Light up to `gain` times the reference white, in color, with fine detail."""
    rows, columns = np.mgrid[0:192, 0:384] / 192
    light = np.stack(
        [
            0.5 + 0.5 * np.sin(9 * columns + 2 * rows),
            0.5 + 0.5 * np.sin(7 * rows * columns + 1),
            0.5 + 0.4 * np.cos(5 * columns - 8 * rows) + 0.1 * np.sin(90 * columns),
        ]
    )
    linear = (gain * light[[1, 2, 0]] ** 3).astype("<f4")  # green, blue, red
    path = write_hdr(
        tmp_path / "picture.mp4",
        transfer,
        *("-f", "rawvideo", "-s", "384x192", "-pix_fmt", "gbrpf32le", "-i", "-"),
        data=linear.tobytes(),
    )
    assert measure_psnr(path, 192, 384) >= 40


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
@pytest.mark.parametrize("name", ["bl_sunset", "pm_hall", "bl_city"])
def test_real_hdr_panoramas_have_40_db(tmp_path, media, transfer, name):
    source = media / "hdri" / f"{name}.exr"
    path = write_hdr(tmp_path / "picture.mkv", transfer, "-i", source)
    assert measure_psnr(path, 256, 512) >= 40


def write_hdr(path: Path, transfer: str, *source: str | Path, data: bytes | None = None) -> Path:
    """Encode linear light in BT.709, where 1 is the reference white, as HDR of ordinary loss."""
    size = "" if data else "scale=512:256:flags=area,"
    chain = (
        f"{size}format=gbrpf32le,zscale=tin=linear:pin=bt709:t={transfer}:p=bt2020:m=bt2020nc:"
        "npl=203:agamma=0:c=topleft,format=yuv420p10le"
    )
    options = ("-c:v", "libx265", "-crf", "14", "-x265-params", "log-level=none", "-frames:v", "1")
    run_ffmpeg(*source, "-vf", chain, *options, path, data=data)
    return path


def measure_psnr(path: Path, height: int, width: int) -> float:
    """Return the peak signal-to-noise ratio in dB of a reader's frame and the documented chain."""
    chain = f"{SCALE}:in_chroma_loc=topleft,format=yuv444p16le,{HDR_CHAIN.format(given='')}"
    expected = filter_frames(path, chain, height, width)
    error = np.square(read_frames(path)[0] - expected[0].astype(float)).mean()
    return float(10 * np.log10(255**2 / error))


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
@pytest.mark.parametrize("primaries", ["bt709", "bt2020", "smpte432"])
def test_sdr_inside_hdr_reads_as_sdr(tmp_path, transfer, primaries):
    """White at 203 cd/m² and all mid-tones come back."""
    sdr = np.rint(sample_gamut(PATCHES**2) * 255).astype(np.uint8).reshape(PATCHES, PATCHES, 3)
    chain = (
        f"format=gbrp,zscale=pin=bt709:tin=bt709:t={transfer}:p={primaries}:m=bt2020nc:"
        "npl=203:agamma=0,format=yuv444p16le"
    )
    size = ("-f", "rawvideo", "-s", f"{PATCHES}x{PATCHES}", "-pix_fmt", "rgb24", "-i", "-")
    path = tmp_path / "sdr.mkv"
    encode(path, "ffv1", *size, "-vf", chain, data=sdr.tobytes())
    difference = np.abs(read_frames(path)[0].astype(int) - sdr)
    assert difference[sdr > 10].max() <= 2
    assert difference.max() <= 8  # saturated darks have few codes in wide primaries


WIDE = [
    ("bt2020nc", "bt2020", "bt2020-10"),
    ("bt2020nc", "bt2020", "unknown"),
    ("bt709", "smpte432", "bt709"),
    ("bt709", "smpte432", "iec61966-2-1"),
    ("bt709", "smpte431", "smpte170m"),
    ("bt709", "bt2020", "bt470m"),
]


@pytest.mark.parametrize(("matrix", "primaries", "transfer"), WIDE)
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "yuv444p12le", "yuvj422p"])
def test_wide_gamuts_become_bt709(tmp_path, matrix, primaries, transfer, pix_fmt):
    path = write_patches(
        *(tmp_path / "wide.mkv", "ffv1", pix_fmt),
        colorspace=matrix,
        color_primaries=primaries,
        color_trc=transfer,
    )
    given = "tin=bt709:t=bt709:" if transfer == "unknown" else ""
    if primaries == "smpte431":
        given += "pin=smpte432:"  # white stays white
    chain = f"zscale={given}p=bt709:m=gbr,format=gbrp"
    expected = filter_frames(path, chain, SIDE, SIDE)
    difference = np.abs(read_frames(path)[CENTER].astype(int) - expected[CENTER])
    assert difference.max() <= 2


@pytest.mark.parametrize("primaries", ["smpte170m", "bt470bg", "film", "bt709", "unknown"])
@pytest.mark.parametrize("transfer", ["bt470bg", "linear", "iec61966-2-1"])
def test_other_sdr_is_left_as_it_is(tmp_path, primaries, transfer):
    colors = {"colorspace": "bt709", "color_primaries": primaries, "color_trc": transfer}
    path = write_patches(tmp_path / "sdr.mkv", "ffv1", "yuv444p10le", **colors)
    np.testing.assert_array_equal(read_frames(path), filter_frames(path, SCALE, SIDE, SIDE))


@pytest.mark.parametrize(
    ("width", "height", "matrix"),
    [
        (1280, 16, "bt709"),
        (1278, 16, "bt601"),
        (16, 578, "bt709"),
        (16, 576, "bt601"),
        (128, 720, "bt709"),
        (320, 160, "bt601"),
    ],
)
@pytest.mark.parametrize("declared", [2, 3, 8, 11, 14])  # of Rec. ITU-T H.273
@pytest.mark.parametrize("rotation", [0, 90])
def test_undeclared_and_unusable_matrices_depend_on_the_coded_size(
    tmp_path, width, height, matrix, declared, rotation
):
    source = ("-f", "lavfi", "-i", f"testsrc2=s={width}x{height}:d=0.04", "-pix_fmt", "yuv444p")
    plain = encode(tmp_path / "plain.mp4", "h264", *source)
    chain = f"{SCALE}:in_color_matrix={matrix}"
    expected = np.rot90(filter_frames(plain, chain, height, width)[0], rotation // 90)
    coded = tmp_path / "coded.mp4"
    bitstream = f"h264_metadata=matrix_coefficients={declared}"
    run_ffmpeg("-i", plain, "-c", "copy", "-bsf:v", bitstream, coded)
    path = tmp_path / "turned.mp4"
    run_ffmpeg("-display_rotation", str(rotation), "-i", coded, "-c", "copy", path)
    np.testing.assert_array_equal(read_frames(path)[0], expected)


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9"])
@pytest.mark.parametrize(("offset", "value"), [(12, 6), (12, 9), (14, 0x80)])
def test_codec_and_container_that_disagree_are_read_as_ffmpeg_does(tmp_path, codec, offset, value):
    """Matrix (two bytes) and range (one) of the colr box are overwritten."""
    source = ("-f", "lavfi", "-i", "testsrc2=s=160x96:d=0.2", "-pix_fmt", "yuv444p")
    colors = ("-vf", describe_colors(range="tv", colorspace="bt709"), "-movflags", "write_colr")
    path = encode(tmp_path / "colr.mp4", codec, *source, *colors)
    data = bytearray(path.read_bytes())
    box = data.index(b"colrnclx")
    data[box + offset : box + 14 + offset // 14] = value.to_bytes(2 - offset // 14, "big")
    path.write_bytes(data)
    np.testing.assert_array_equal(read_frames(path), filter_frames(path, SCALE, 96, 160))


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize(
    "colors",
    [
        HDR10,
        HLG,
        HDR10 | {"color_trc": "bt709", "color_primaries": "smpte432"},
        {"color_trc": "bt709", "color_primaries": "bt709", "colorspace": "bt709"},
    ],
)
def test_colors_that_only_the_container_declares_count(tmp_path, codec, suffix, colors):
    """FFmpeg's decoders drop them, but players do not."""
    source = ("-f", "lavfi", "-i", "testsrc2=s=160x96:d=0.2")
    options = ("-pix_fmt", "yuv420p10le", "-vf", describe_colors(range="tv", **colors))
    both = encode(tmp_path / f"both{suffix}", codec, *source, *options)
    names = ("colour_primaries", "transfer_characteristics", "matrix_coefficients")
    undeclared = f"{codec}_metadata=" + ":".join(f"{name}=2" for name in names)
    path = tmp_path / f"container{suffix}"
    run_ffmpeg("-i", both, "-c", "copy", "-bsf:v", undeclared, path)
    with open_video(both) as video, open_video(path) as other:
        assert other.info.color == video.info.color
        assert other.info.color.transfer == colors["color_trc"]
    np.testing.assert_array_equal(read_frames(path), read_frames(both))


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.mkv", "ffv1", "yuv420p"),
        ("b.mkv", "ffv1", "yuvj422p"),
        ("c.mkv", "ffv1", "yuv444p12le"),
        ("d.mkv", "ffv1", "yuva420p10le"),
        ("e.mkv", "ffv1", "yuv411p"),
        ("f.mkv", "ffv1", "gbrap"),
        ("g.mkv", "ffv1", "gbrp12le"),
        ("h.mkv", "ffv1", "gray12le"),
        ("i.mkv", "ffv1", "ya8"),
        ("j.mov", "prores", "yuva444p10le"),
        ("k.webm", "vp9", "yuva420p"),
        ("l.mp4", "vp9", "gbrp"),
        ("m.mp4", "hevc", "gray"),
        ("n.mp4", "h264rgb", "rgb24"),
    ],
)
def test_every_sample_format_is_read_as_ffmpeg_does(tmp_path, name, codec, pix_fmt):
    source = ("-f", "lavfi", "-i", "testsrc2=s=161x97:d=0.08,format=gbrp", "-pix_fmt", pix_fmt)
    path = encode(tmp_path / name, codec, *source)
    np.testing.assert_array_equal(read_frames(path), filter_frames(path, SCALE, 97, 161))


@pytest.mark.parametrize("location", ["left", "center", "topleft", "bottomleft"])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
@pytest.mark.parametrize("size", [(96, 160), (31, 60)])
def test_chroma_is_where_it_is_declared(tmp_path, location, pix_fmt, size):
    chain = f"format={pix_fmt},setparams=chroma_location={location}"
    source = ("-f", "lavfi", "-i", "testsrc2=s=160x96:d=0.04", "-vf", chain)
    path = encode(tmp_path / "video.mp4", "h264", *source)
    with open_video(path) as video:
        frames = video.frames([0], size)
    chain = SCALE.replace("=", f"={size[1]}:{size[0]}:", 1) + f":in_chroma_loc={location}"
    np.testing.assert_array_equal(frames, filter_frames(path, chain, *size))


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
def test_dolby_vision_without_a_fallback_is_refused(tmp_path, container):
    path = write_dolby_vision(tmp_path / f"video.{container}", profile=5)
    with pytest.raises(VideoError) as caught:
        read_frames(path)
    assert caught.value.reason == Reason.UNSUPPORTED_CODEC


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
def test_dolby_vision_with_a_fallback_is_read(tmp_path, container):
    path = write_dolby_vision(tmp_path / f"video.{container}", profile=8)
    chain = f"{SCALE}:in_chroma_loc=left"
    np.testing.assert_array_equal(read_frames(path), filter_frames(path, chain, 96, 160))
