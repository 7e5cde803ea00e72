"""Maps whose value at every direction is known exactly."""

import numpy as np
import pytest


def _rays_of(erp_size):
    """Unit rays [H, W, 3] written out from the convention, independently of the package."""
    height, width = erp_size
    lon = np.radians(((np.arange(width) + 0.5) / width - 0.5) * 360)[None, :]
    lat = np.radians((0.5 - (np.arange(height) + 0.5) / height) * 180)[:, None]
    x, y, z = np.cos(lat) * np.sin(lon), -np.sin(lat) + 0 * lon, np.cos(lat) * np.cos(lon)
    return np.stack([x, y, z], -1)


def _view_rays_of(camera):
    """Unit rays [h, w, 3] of a perspective picture, from the convention."""
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


def _angle_deg(a, b):
    """Angles between directions [..., 3] of any length, degrees; exact for small ones."""
    chord = np.linalg.norm(
        a / np.linalg.norm(a, axis=-1, keepdims=True)
        - b / np.linalg.norm(b, axis=-1, keepdims=True),
        axis=-1,
    )
    return np.degrees(2 * np.arcsin(np.clip(chord / 2, 0, 1)))


@pytest.fixture(scope="session")
def rays_of():
    return _rays_of


@pytest.fixture(scope="session")
def view_rays_of():
    return _view_rays_of


@pytest.fixture(scope="session")
def angle_deg():
    return _angle_deg


@pytest.fixture
def directions():
    """ERP map [1, 256, 512, 3] whose colour is its own direction."""
    return _rays_of((256, 512))[None].astype(np.float32)


@pytest.fixture
def picture():
    """A smooth random uint8 ERP map [1, 128, 256, 3] that is continuous across seam and poles."""
    rays = _rays_of((128, 256))
    random = np.random.default_rng(3)
    waves = [np.sin(rays @ random.normal(size=3) * 4 + random.uniform(0, 6)) for _ in range(9)]
    colours = np.stack([sum(waves[c::3]) for c in range(3)], -1)
    return np.rint(127 + 40 * colours)[None].clip(0, 255).astype(np.uint8)
