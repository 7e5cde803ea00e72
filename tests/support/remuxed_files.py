"""Files of other containers that are tagged, and the comparison of the copies with them."""

import re
from pathlib import Path

import av
import numpy as np

from argus.media import SphericalMetadata, list_omissions, tag_spherical
from tests.support.ffmpeg import run_ffmpeg

PICTURE = ["-f", "lavfi", "-i", "testsrc2=s=160x96:r=10:d=3"]
SOUND = ["-f", "lavfi", "-i", "sine=d=3"]
H264 = ["-c:v", "libx264", "-bf", "2", "-g", "10", "-pix_fmt", "yuv420p", "-threads", "1"]
HEVC = ["-c:v", "libx265", "-x265-params", "log-level=none:keyint=10:repeat-headers=1:pools=1"]


def tag(source: Path, **metadata: object) -> tuple[Path, set[tuple[str, str, int | None]]]:
    """Tag a file of any container; return the mp4 and what it does not hold."""
    tagged = source.parent / "tagged.mp4"
    omissions = tag_spherical(source, tagged, SphericalMetadata(**metadata))
    assert omissions == list_omissions(source)
    return tagged, {(one.part, one.detail, one.track) for one in omissions}


def list_frames(path: Path, stream: str = "v:0") -> list[tuple[float, str]]:
    """Return the time and the digest of every frame, in the order in which they are shown."""
    text = run_ffmpeg(
        *("-i", path, "-map", f"0:{stream}", "-fps_mode", "passthrough", "-copyts"),
        *("-enc_time_base", "demux", "-f", "framemd5", "-"),
    ).decode()
    unit = re.search(r"#tb 0: (\d+)/(\d+)", text)
    assert unit
    rows = [line.split(",") for line in text.splitlines() if not line.startswith("#")]
    return [(int(row[2]) * int(unit[1]) / int(unit[2]), row[5].strip()) for row in rows]


def list_packets(path: Path, stream: str, *options: str) -> list[str]:
    """Return the digest of every packet."""
    arguments = ["-i", path, "-map", f"0:{stream}", "-c", "copy", *options, "-f", "framehash", "-"]
    lines = run_ffmpeg(*arguments).decode().splitlines()
    return [line.split(",")[5].strip() for line in lines if not line.startswith("#")]


def read_times(path: Path, kind: str) -> list[float]:
    """Return the time in seconds at which each packet of a kind is shown, in stored order."""
    with av.open(str(path)) as container:
        packets = container.demux(getattr(container.streams, kind)[0])
        return [float(packet.pts * packet.time_base) for packet in packets if packet.size]


def read_start(path: Path, kind: str) -> float:
    """Return the time in seconds of what is shown or heard first."""
    return min(read_times(path, kind))


def assert_same_frames(before: Path, after: Path, stream: str = "v:0", within_s: float = 1e-4):
    """Check that a copy shows the frames of a video at the same times from the first one on."""
    expected, found = list_frames(before, stream), list_frames(after, stream)
    assert [digest for _, digest in found] == [digest for _, digest in expected]
    times = (np.array([time for time, _ in frames]) for frames in (expected, found))
    shown, copied = (array - array[0] for array in times)
    np.testing.assert_allclose(copied, shown, atol=within_s)
