"""HEVC videos with reference processing units (RPU) of Dolby Vision, made of zeros."""

from pathlib import Path

from tests.support.ffmpeg import run_ffmpeg

_DELIMITER = b"\0\0\0\1\x46\x01"  # NAL unit that starts an access unit
_RPU = b"\0\0\0\1\x7c\x01"  # header of NAL unit type 62
_BITS = 10


def write_dolby_vision(path: Path, profile: int) -> Path:
    """Write five frames of 160x96 pixels.

    Args:
        path: an mp4, mkv or ts file.
        profile: 5, which has no fallback, or 8.
    """
    stream = path.with_suffix(".hevc")
    source = ("-f", "lavfi", "-i", "testsrc2=s=160x96:r=5:d=1", "-pix_fmt", "yuv420p10le")
    options = "log-level=none:keyint=1:aud=1:repeat-headers=1"
    run_ffmpeg(*source, "-c:v", "libx265", "-x265-params", options, stream)
    start, *units = stream.read_bytes().split(_DELIMITER)
    rpu = _build_rpu(is_profile_5=profile == 5)
    stream.write_bytes(start + b"".join(_DELIMITER + unit + rpu for unit in units))
    run_ffmpeg("-r", "5", "-i", stream, "-c", "copy", path)
    return path


def _build_rpu(*, is_profile_5: bool) -> bytes:
    """Build an RPU whose polynomials are the identity, after libavcodec/dovi_rpudec.c."""
    header = _fixed(2, 6) + _fixed(18, 11) + _fixed(0 if is_profile_5 else 1, 4) + _fixed(0, 4)
    sequence = "1" + "0" + _fixed(0, 2) + _golomb(23) + _fixed(1, 2) + _fixed(is_profile_5, 1)
    depths = _golomb(_BITS - 8) * 2 + _golomb(4) + "0" + _fixed(0, 3) + "0" + "1"
    pivots = (_golomb(0) + _fixed(0, _BITS) + _fixed(1023, _BITS)) * 3
    curves = (_golomb(0) * 2 + "0" + _golomb(0) + _fixed(0, 23) + _golomb(1) + _fixed(0, 23)) * 3
    bits = header + sequence + depths + "00" + _golomb(0) * 3 + pivots + _golomb(0) * 2 + curves
    bits += "0" * (-len(bits) % 8)
    checksum, trailing = bytes(4), b"\x80"
    payload = bytes([25]) + int(bits, 2).to_bytes(len(bits) // 8, "big") + checksum + trailing
    return _RPU + _escape(payload)


def _fixed(value: int, bits: int) -> str:
    return format(value, f"0{bits}b")


def _golomb(value: int) -> str:
    """Return an unsigned Exp-Golomb code."""
    code = format(value + 1, "b")
    return "0" * (len(code) - 1) + code


def _escape(payload: bytes) -> bytes:
    """Insert emulation prevention bytes."""
    escaped = bytearray()
    for byte in payload:
        if escaped[-2:] == b"\0\0" and byte <= 3:
            escaped.append(3)
        escaped.append(byte)
    return bytes(escaped)
