"""Videos that no recipe covers: joined, cut, odd sizes and formats, several tracks, old codecs.

Each maker writes one file with the bundled ffmpeg.
"""

import re
from collections.abc import Callable
from pathlib import Path

from tests.support.ffmpeg import run_ffmpeg
from tests.support.media_matrix import FPS, MUTED

X264 = "-c:v libx264 -preset superfast -crf 18 -bf 2 -g 10 -threads 1"
X265 = "-c:v libx265 -preset ultrafast -x265-params log-level=none:pools=1:keyint=10:bframes=2"
VP9 = "-c:v libvpx-vp9 -cpu-used 8 -b:v 0 -crf 20 -g 10"
AV1 = "-c:v libsvtav1 -preset 12 -g 10 -svtav1-params lp=1"
MPEG2 = "-c:v mpeg2video -q:v 3 -bf 2 -g 10"
MPEG4 = "-c:v mpeg4 -q:v 3 -bf 2 -g 10"

# name: (size, options of the encoder and muxer, filters)
ENCODED: dict[str, tuple[str, str, str]] = {
    # sizes that chroma does not divide
    "odd_size_vp9.webm": ("97x65", VP9, "format=yuv420p"),
    "odd_size_av1.mp4": ("97x65", AV1, "format=yuv420p"),
    "odd_size_ffv1.mkv": ("97x65", "-c:v ffv1 -level 3 -threads 1", "format=yuv420p"),
    "odd_size_mjpeg.avi": ("97x65", "-c:v mjpeg -q:v 3", "format=yuvj420p"),
    "odd_size_h264_444.mp4": ("97x65", X264, "format=yuv444p"),
    "crop_16_h264.mp4": ("98x66", X264, "format=yuv420p"),
    # formats of the samples
    "h264_422.mkv": ("96x64", X264, "format=yuv422p"),
    "h264_444_10.mp4": ("96x64", X264, "format=yuv444p10le"),
    "h264_gbr.mp4": ("96x64", "-c:v libx264rgb -preset superfast -g 10", "format=rgb24"),
    "h264_gray.mkv": ("96x64", X264, "format=gray"),
    "hevc_422_12.mp4": ("96x64", X265, "format=yuv422p12le"),
    "hevc_gbr.mkv": ("96x64", X265, "format=gbrp"),
    "hevc_gray.mp4": ("96x64", X265, "format=gray"),
    "vp9_440.webm": ("96x64", VP9, "format=yuv440p"),
    "vp9_444_pc.mkv": ("96x64", VP9, "scale=out_range=pc,format=yuv444p,setparams=range=pc"),
    "ffv1_rgb.avi": ("96x64", "-c:v ffv1 -level 3 -threads 1", "format=bgr0"),
    "ffv1_gray16.mkv": ("96x64", "-c:v ffv1 -level 3 -threads 1", "format=gray16le"),
    "prores_alpha.mov": ("96x64", "-c:v prores_ks -profile:v 4", "format=yuva444p10le"),
    "vp8_alpha.webm": ("96x64", "-c:v libvpx -b:v 2M -auto-alt-ref 0", "format=yuva420p"),
    "huffyuv.avi": ("96x64", "-c:v huffyuv", "format=yuv422p"),
    "utvideo.avi": ("96x64", "-c:v utvideo", "format=yuv420p"),
    "raw_bgr.avi": ("96x64", "-c:v rawvideo", "format=bgr24"),
    "raw_uyvy.mov": ("96x64", "-c:v rawvideo", "format=uyvy422"),
    "v210.mov": ("96x64", "-c:v v210", "format=yuv422p10le"),
    "png.mov": ("96x64", "-c:v png", "format=rgba"),
    "palette.mov": ("96x64", "-c:v qtrle", "format=rgb24"),
    # other colors
    "smpte240m.mp4": ("96x64", X264, "format=yuv420p,setparams=colorspace=smpte240m"),
    "fcc.mkv": ("96x64", X264, "format=yuv420p,setparams=colorspace=fcc"),
    "bt470bg.mp4": ("96x64", X264, "format=yuv420p,setparams=colorspace=bt470bg"),
    "ycgco.mp4": ("96x64", X264, "format=yuv444p,setparams=colorspace=ycgco"),
    "bt2020c.mkv": ("96x64", X265, "format=yuv420p10le,setparams=colorspace=bt2020c"),
    "display_p3.mov": (
        "96x64",
        X265,
        f"{MUTED},format=yuv420p10le,"
        "setparams=colorspace=bt709:color_trc=bt709:color_primaries=smpte432",
    ),
    "srgb.mp4": (
        "96x64",
        X264,
        "format=yuv420p,setparams=colorspace=smpte170m:color_trc=iec61966-2-1",
    ),
    "topleft.mkv": ("96x64", f"{X265}:chromaloc=2", "format=yuv420p10le"),
    "pq_8_bit.mp4": (
        "96x64",
        X264,
        f"{MUTED},format=yuv420p,"
        "setparams=colorspace=bt2020nc:color_trc=smpte2084:color_primaries=bt2020",
    ),
    "hlg_422.mov": (
        "96x64",
        "-c:v prores_ks",
        f"{MUTED},format=yuv422p10le,"
        "setparams=colorspace=bt2020nc:color_trc=arib-std-b67:color_primaries=bt2020",
    ),
    "undeclared_wide.mp4": ("1280x64", X264, "format=yuv420p"),
    "undeclared_pal.mpg": ("96x576", MPEG2, "format=yuv420p"),
    # groups of pictures
    "open_gop_h264.mp4": ("96x64", f"{X264} -flags -cgop -x264-params open-gop=1", ""),
    "open_gop_h264.ts": ("96x64", f"{X264} -flags -cgop -x264-params open-gop=1", ""),
    "open_gop_hevc.mkv": ("96x64", f"{X265}:open-gop=1", "format=yuv420p"),
    "open_gop_hevc.mp4": ("96x64", f"{X265}:open-gop=1", "format=yuv420p"),
    "open_gop_mpeg2.mpg": ("96x64", MPEG2, ""),
    "closed_gop_mpeg2.ts": ("96x64", f"{MPEG2} -flags +cgop -sc_threshold 1000000000", ""),
    "intra_refresh.mp4": ("96x64", f"{X264} -bf 0 -x264-params intra-refresh=1", ""),
    "intra_only.mkv": ("96x64", f"{X264} -g 1", ""),
    "one_frame.mp4": ("96x64", f"{X264} -frames:v 1", ""),
    "one_frame.mkv": ("96x64", f"{X264} -frames:v 1", ""),
    "two_frames.ts": ("96x64", f"{X264} -frames:v 2", ""),
    # rates and times
    "rate_29_97.mkv": ("96x64", f"{X264} -r 30000/1001", ""),
    "rate_120.mkv": ("96x64", f"{X264} -r 120 -frames:v 60", ""),
    "rate_2000.mkv": ("96x64", f"{X264} -r 2000 -frames:v 40", ""),  # repeated milliseconds
    "rate_1.mp4": ("96x64", f"{X264} -r 1 -frames:v 4", "setpts=25*PTS"),
    "jitter.mp4": (
        "96x64",
        f"{X264} -fps_mode passthrough",
        "settb=1/90000,setpts=3600*N+700*mod(N\\,3)",
    ),
    "jitter.mkv": (
        "96x64",
        f"{VP9} -fps_mode passthrough",
        "settb=1/1000,setpts=40*N+9*mod(N\\,3)",
    ),
    "long_gap.mp4": ("96x64", f"{X264} -fps_mode passthrough", "setpts=PTS+gte(N\\,9)*4/TB"),
    "late_start.ts": ("96x64", f"{X264} -output_ts_offset 3600", ""),
    "wrapped_clock.ts": ("96x64", f"{X264} -output_ts_offset 95441.5", ""),  # 2^33 / 90 kHz - 2.2 s
    "no_edit_list.mp4": ("96x64", f"{X264} -use_editlist 0", ""),
    # muxers
    "fragments.mp4": ("96x64", f"{X264} -movflags frag_keyframe+empty_moov", ""),
    "fragments_cts.mp4": (
        "96x64",
        f"{X264} -movflags frag_every_frame+empty_moov+default_base_moof+negative_cts_offsets",
        "",
    ),
    "cmaf.mp4": ("96x64", f"{X264} -movflags +cmaf+frag_keyframe", ""),
    "faststart.mov": ("96x64", f"{X264} -movflags +faststart", ""),
    "live.webm": ("96x64", f"{VP9} -live 1", "format=yuv420p"),
    "no_cues.mkv": ("96x64", f"{X264} -live 1", ""),
    "m2ts.ts": ("96x64", f"{X264} -mpegts_m2ts_mode 1", ""),
    "raw.h264": ("96x64", f"{X264}", ""),
    "raw.hevc": ("96x64", f"{X265}", "format=yuv420p"),
    "raw.ivf": ("96x64", VP9, "format=yuv420p"),
    "raw.obu": ("96x64", AV1, "format=yuv420p"),
    # old codecs
    "mpeg1.mpg": ("96x64", "-c:v mpeg1video -q:v 3 -bf 2 -g 10", ""),
    "vob.vob": ("96x64", MPEG2, ""),
    "wmv2.wmv": ("96x64", "-c:v wmv2 -q:v 3 -g 10 -f asf", ""),
    "msmpeg4.avi": ("96x64", "-c:v msmpeg4 -q:v 3 -g 10", ""),
    "h263.3gp": ("176x144", "-c:v h263 -q:v 3 -g 10", ""),
    "flv1.flv": ("96x64", "-c:v flv -q:v 3 -g 10", ""),
    "xvid.avi": ("96x64", "-c:v libxvid -q:v 3 -bf 2 -g 10", ""),  # packed B-frames
    "dv.avi": ("720x576", "-c:v dvvideo -frames:v 3", "format=yuv420p,setfield=bff"),
    "dnxhr.mov": ("256x128", "-c:v dnxhd -profile:v dnxhr_hq -frames:v 6", "format=yuv422p"),
    "interlaced_hevc.mkv": ("96x64", f"{X265}:interlace=tff", "format=yuv420p"),
}


def make_odd_video(name: str, path: Path) -> Path:
    """Write one of the videos of ODD_NAMES.

    Args:
        name: its name.
        path: the file to write.

    Returns:
        `path`.
    """
    if name in ENCODED:
        size, options, filters = ENCODED[name]
        _encode(path, size, options, filters or "format=yuv420p")
    else:
        _MAKERS[name](path)
    return path


def _encode(path: Path, size: str, options: str, filters: str = "format=yuv420p") -> None:
    source = f"testsrc2=s={size}:r={FPS}:d=1"
    run_ffmpeg("-f", "lavfi", "-i", source, "-vf", filters, *options.split(), path)


def _join(path: Path, *options: str) -> None:
    """Join two transport streams byte by byte, so that times begin again."""
    parts = [path.with_suffix(f".{number}.ts") for number in range(len(options))]
    for part, option in zip(parts, options, strict=True):
        _encode(part, "96x64", option)
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    for part in parts:
        part.unlink()


def _remux(path: Path, encoding: str, before: str, after: str = "") -> None:
    """Encode, then copy with other options."""
    encoded = path.with_name(f"encoded-{path.name}")
    _encode(encoded, "96x64", encoding)
    run_ffmpeg(*before.split(), "-i", encoded, "-c", "copy", *after.split(), path)
    encoded.unlink()


def _add_tracks(path: Path, inputs: str, options: str) -> None:
    """Write a file of several tracks of generated pictures and sound."""
    run_ffmpeg(*re.split(r"\s+", inputs.strip()), *options.split(), path)


_VIDEO = f"-f lavfi -i testsrc2=s=96x64:r={FPS}:d=1"
_PREVIEW = f"-f lavfi -i testsrc=s=64x48:r={FPS}:d=1"
_COVER = "-f lavfi -i color=red:s=320x320:r=1:d=1"
_SOUND = "-f lavfi -i sine=440:d=1"
_MAKERS: dict[str, Callable[[Path], None]] = {
    "joined_h264.ts": lambda path: _join(path, X264, X264),
    "joined_mpeg2.ts": lambda path: _join(path, MPEG2, MPEG2, MPEG2),
    "joined_forward.ts": lambda path: _join(path, X264, f"{X264} -output_ts_offset 36000"),
    "joined_codecs.ts": lambda path: _join(path, X264, f"{X264} -profile:v baseline -bf 0"),
    "cut_open_gop.ts": lambda path: _remux(
        path, f"{X264} -x264-params open-gop=1:keyint=10", "-ss 0.5"
    ),
    "cut_open_gop.mkv": lambda path: _remux(path, f"{X265}:open-gop=1", "-ss 0.5"),
    "cut_open_gop_hevc.mp4": lambda path: _remux(path, f"{X265}:open-gop=1", "-ss 0.5"),
    "cut_and_delayed.mov": lambda path: _remux(path, X264, "-itsoffset 0.6 -ss 0.3"),
    "cut_ends.mp4": lambda path: _remux(path, X264, "-ss 0.3", "-t 0.4"),
    "cut_fragments.mp4": lambda path: _remux(
        path, X264, "-ss 0.3", "-movflags frag_keyframe+delay_moov"
    ),
    "cut_vp8.webm": lambda path: _remux(path, "-c:v libvpx -b:v 2M -g 10", "-ss 0.5"),
    "diagonal.mp4": lambda path: _remux(path, X264, "-display_rotation 45"),
    "container_bt601_codec_bt709.mov": lambda path: _remux(
        path, X264, "", "-bsf:v h264_metadata=matrix_coefficients=1"
    ),
    "cropped.mp4": lambda path: _remux(
        path, X264, "", "-bsf:v h264_metadata=crop_left=6:crop_top=10:crop_right=4"
    ),
    "cropped_hevc.mkv": lambda path: _remux(
        path, X265, "", "-bsf:v hevc_metadata=crop_left=6:crop_top=10"
    ),
    "preview_first.mp4": lambda path: _add_tracks(
        path,
        f"{_PREVIEW} {_VIDEO}",
        f"-map 0 -map 1 {X264} -pix_fmt yuv420p -disposition:v:0 0 -disposition:v:1 default",
    ),
    "preview_first_undisposed.mkv": lambda path: _add_tracks(
        path,
        f"{_PREVIEW} {_VIDEO}",
        f"-map 0 -map 1 {X264} -pix_fmt yuv420p -disposition:v:0 0 -disposition:v:1 0",
    ),
    "still_first.mkv": lambda path: _add_tracks(
        path,
        f"{_PREVIEW} {_VIDEO}",
        f"-map 0 -map 1 {X264} -pix_fmt yuv420p -c:v:0 mjpeg -pix_fmt:v:0 yuvj420p -bf:v:0 0 -frames:v:0 1 "
        "-disposition:v:0 0 -disposition:v:1 default",
    ),
    "cover_art.mp4": lambda path: _add_tracks(
        path,
        f"{_COVER} {_VIDEO}",
        f"-map 1 -map 0 {X264} -pix_fmt yuv420p -c:v:1 mjpeg -pix_fmt:v:1 yuvj420p -bf:v:1 0 -frames:v:1 1 "
        "-disposition:v:1 attached_pic",
    ),
    "sound_first.ts": lambda path: _add_tracks(
        path,
        f"-itsoffset 0.3 {_VIDEO} {_SOUND}",
        f"-map 1 -map 0 {X264} -pix_fmt yuv420p -c:a aac",
    ),
    "sound_longer.mp4": lambda path: _add_tracks(
        path, f"{_VIDEO} -f lavfi -i sine=440:d=3", f"{X264} -pix_fmt yuv420p -c:a aac"
    ),
    "sound.mkv": lambda path: _add_tracks(
        path, f"-itsoffset 0.5 {_VIDEO} {_SOUND}", f"{VP9} -pix_fmt yuv420p -c:a libopus"
    ),
}
ODD_NAMES = (*ENCODED, *_MAKERS)
