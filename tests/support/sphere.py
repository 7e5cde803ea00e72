"""Directions, error measures and ffmpeg's projections, independent of `argus.sphere`."""

import subprocess

import imageio_ffmpeg
import numpy as np
import torch

_V360_PIXELS = {np.dtype(np.uint8): ("rgb24", "gbrp"), np.dtype("<u2"): ("rgb48le", "gbrp16le")}


def erp_rays(erp_size):
    """Return the unit rays [H, W, 3] of an ERP map, from the definition of the format."""
    height, width = erp_size
    lon = np.radians(((np.arange(width) + 0.5) / width - 0.5) * 360)[None, :]
    lat = np.radians((0.5 - (np.arange(height) + 0.5) / height) * 180)[:, None]
    x, y, z = np.cos(lat) * np.sin(lon), -np.sin(lat) + 0 * lon, np.cos(lat) * np.cos(lon)
    return np.stack([x, y, z], -1)


def view_rays(camera):
    """Return the unit rays [h, w, 3] of a perspective picture, from the pinhole model."""
    fx = camera.width / 2 / np.tan(np.radians(camera.fov_x_deg) / 2)
    fy = (
        fx
        if camera.fov_y_deg is None
        else camera.height / 2 / np.tan(np.radians(camera.fov_y_deg) / 2)
    )
    x = (np.arange(camera.width) + 0.5 - camera.width / 2) / fx
    y = (np.arange(camera.height) + 0.5 - camera.height / 2) / fy
    rays = np.stack([*np.meshgrid(x, y), np.ones((camera.height, camera.width))], -1)
    return rays / np.linalg.norm(rays, axis=-1, keepdims=True)


def angle_deg(a, b):
    """Return the angles between directions [..., 3] of any length; accurate for small ones."""
    chord = np.linalg.norm(
        a / np.linalg.norm(a, axis=-1, keepdims=True)
        - b / np.linalg.norm(b, axis=-1, keepdims=True),
        axis=-1,
    )
    return np.degrees(2 * np.arcsin(np.clip(chord / 2, 0, 1)))


def smooth_map(erp_size):
    """Return a random uint8 ERP map [1, H, W, 3] that is smooth across the seam and the poles."""
    rays = erp_rays(erp_size)
    random = np.random.default_rng(3)
    waves = [np.sin(rays @ random.normal(size=3) * 4 + random.uniform(0, 6)) for _ in range(9)]
    colors = np.stack([sum(waves[channel::3]) for channel in range(3)], -1)
    return np.rint(127 + 40 * colors)[None].clip(0, 255).astype(np.uint8)


def as_torch(frames):
    """Convert numpy frames [T, H, W, C] to torch frames [T, C, H, W]."""
    return torch.from_numpy(frames).permute(0, 3, 1, 2)


def as_numpy(frames):
    """Convert torch frames [T, C, H, W] to numpy frames [T, H, W, C]."""
    return frames.permute(0, 2, 3, 1).numpy()


def run_v360(frame, options, size, interpolation="linear"):
    """Project one uint8 or uint16 RGB frame [h, w, 3] with ffmpeg's v360 filter.

    `options` are the filter's first options, such as "e:flat:h_fov=90"; `size` is (height, width).
    """
    packed, planar = _V360_PIXELS[frame.dtype]
    filters = f"format={planar},v360={options}:interp={interpolation},format={packed}"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "rawvideo"]
    command += ["-pix_fmt", packed, "-s", f"{frame.shape[1]}x{frame.shape[0]}", "-i", "-"]
    command += ["-vf", filters, "-f", "rawvideo", "-"]
    data = np.ascontiguousarray(frame).tobytes()
    done = subprocess.run(command, input=data, capture_output=True, check=True)
    return np.frombuffer(done.stdout, frame.dtype).reshape(*size, 3)
