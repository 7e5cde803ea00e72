"""The bundled ffmpeg program, as an independent writer and reader."""

import subprocess
from pathlib import Path

import imageio_ffmpeg


def run_ffmpeg(*options: object, data: bytes | None = None) -> bytes:
    """Run ffmpeg; overwrite its output.

    Args:
        options: its arguments; paths and numbers as they are.
        data: its standard input.

    Returns:
        What it writes to its standard output.
    """
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y"]
    command += [str(option) for option in options]
    result = subprocess.run(command, input=data, capture_output=True, check=False)
    assert result.returncode == 0, f"{command}\n{result.stderr.decode(errors='replace')}"
    return result.stdout


def describe_with_ffmpeg(path: Path) -> str:
    """Return what ffmpeg prints about a file."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", path]
    return subprocess.run(command, capture_output=True, check=False).stderr.decode()
