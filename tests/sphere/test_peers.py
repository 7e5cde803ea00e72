"""Agreement with two independent implementations: py360convert 1.0 and ffmpeg's v360.

Both project a map whose color is its own direction, so that their pixels are directions. Where
their pixel grids differ from ours, the test computes the directions that they must show. What
remains is the rounding of their samplers.

- In py360convert's views and cube faces the centers of the outermost pixels lie on the edge of the
  field of view; ours lie half a pixel inside. That equals a focal length of (w-1)/2 instead of w/2
  over the tangent. Its pose is ours: u is yaw, v is pitch, and in_rot is roll about the line of
  sight. It samples maps as we do, with weights rounded to 1/32. Its `c2e` reads faces half a pixel
  off (index n/2 is the middle of a face) and makes maps whose first and last column are the same
  meridian and whose first and last row are the poles.
- v360 takes the centers of the outermost pixels of its input for the edges: half a pixel off there,
  exact in the middle. Its output pixels lie as ours. Its yaw, pitch and roll are ours for a map; for
  a view they rotate the map that it makes.

Measured in degrees: `e2p` 0.015, `e2c` 0.015, `c2e` 0.019, v360's views 0.013, views that it places
in a map 0.014. 1/32 of a map's pixel is 0.022.
"""

import numpy as np
import py360convert
import pytest

from argus.sphere import (
    Camera,
    cube_to_erp,
    erp_to_cube,
    erp_to_view,
    from_euler_deg,
    to_euler_deg,
    view_to_erp,
)
from tests.support.sphere import angle_deg, run_v360, view_rays

POSES = [(0, 0, 0), (40, 25, 10), (-170, -50, 30), (179, 0, -20), (95, 80, 5), (10, -90, 0)]
FACES = {"F": (0, 0), "R": (90, 0), "B": (180, 0), "L": (-90, 0), "U": (0, 90), "D": (0, -90)}
MAX_ERROR_DEG = 0.025


def edge_camera(fov_deg, width, height):
    """Return a camera whose outermost pixel centers lie on the edge of fov_deg (x, y)."""
    fx, fy = (
        (n - 1) / 2 / np.tan(np.radians(fov) / 2)
        for n, fov in zip((width, height), fov_deg, strict=True)
    )
    return Camera.from_focal(fx, width, height, fy)


def project_directions(directions, options, size):
    """Project directions [h, w, 3] with v360, at 16 bits per channel."""
    picture = np.rint((0.5 + 0.45 * directions) * 65535).astype("<u2")
    return (run_v360(picture, options, size) / 65535 - 0.5) / 0.45


@pytest.mark.parametrize("pose", POSES)
def test_views_are_py360converts(direction_map, pose):
    yaw, pitch, roll = pose
    theirs = py360convert.e2p(direction_map[0], (80.0, 60.0), yaw, pitch, (60, 80), in_rot_deg=roll)
    ours = erp_to_view(direction_map, from_euler_deg(*pose), edge_camera((80, 60), 80, 60))
    assert angle_deg(ours[0], theirs).max() < MAX_ERROR_DEG


def test_cube_faces_are_py360converts(direction_map):
    """Views of the same pixels agree; pixels of our cube lie up to half a pixel further in."""
    theirs = py360convert.e2c(direction_map[0], 96, cube_format="dict")
    ours = erp_to_cube(direction_map, 96, "6x1")[0]
    half_pixel_deg = np.degrees(1 / 96)  # in the middle of a face
    for k, name in enumerate("RLUDFB"):
        view = erp_to_view(
            direction_map, from_euler_deg(*FACES[name], 0), edge_camera((90, 90), 96, 96)
        )[0]
        assert angle_deg(view, theirs[name]).max() < MAX_ERROR_DEG
        assert angle_deg(ours[:, k * 96 : (k + 1) * 96], theirs[name]).max() < half_pixel_deg


def test_maps_of_cubes_are_py360converts(direction_map):
    """Away from the edges of faces its maps show what its half pixels predict; from ours they
    differ by the distance of the two pixel grids."""
    n, height, width = 128, 128, 256
    cube = erp_to_cube(direction_map, n, "6x1")[0]
    faces = {name: cube[:, k * n : (k + 1) * n] for k, name in enumerate("RLUDFB")}
    theirs = py360convert.c2e(faces, height, width, cube_format="dict")
    lon, lat = np.meshgrid(
        np.linspace(-np.pi, np.pi, width), np.linspace(np.pi / 2, -np.pi / 2, height)
    )
    rays = np.stack([np.cos(lat) * np.sin(lon), -np.sin(lat), np.cos(lat) * np.cos(lon)], -1)
    compared = 0
    for pose in FACES.values():
        R = from_euler_deg(*pose, 0)
        s, t, depth = np.moveaxis(rays @ R, -1, 0)
        inner = (depth > 0) & (np.maximum(np.abs(s), np.abs(t)) < 0.95 * depth)
        s, t = (axis[inner] / depth[inner] + 1 / n for axis in (s, t))  # half a pixel further
        expected = np.stack([s, t, np.ones_like(s)], -1) @ R.T
        assert angle_deg(theirs[inner], expected).max() < MAX_ERROR_DEG
        compared += inner.sum()
    assert compared > 0.85 * height * width
    ours = cube_to_erp(cube[None], (height, width), "6x1")[0]
    assert np.median(angle_deg(ours, theirs)) < 360 / width


@pytest.mark.parametrize("pose", POSES)
def test_views_are_v360s(direction_map, pose):
    camera, (height, width) = Camera(90, 96, 64, 60), direction_map.shape[1:3]
    yaw, pitch, roll = pose
    options = f"e:flat:h_fov=90:v_fov=60:yaw={yaw}:pitch={pitch}:roll={roll}:w=96:h=64"
    theirs = project_directions(direction_map[0], options, (64, 96))
    x, y, z = np.moveaxis(erp_to_view(direction_map, from_euler_deg(*pose), camera)[0], -1, 0)
    lon = np.arctan2(x, z) * (width - 1) / width
    lat = np.arctan2(y, np.hypot(x, z)) * (height - 1) / height
    ours = np.stack([np.cos(lat) * np.sin(lon), np.sin(lat), np.cos(lat) * np.cos(lon)], -1)
    assert angle_deg(ours, theirs).max() < MAX_ERROR_DEG


@pytest.mark.parametrize("pose", POSES)
def test_maps_of_views_are_v360s(pose):
    camera, R, size = Camera(90, 192, 128, 60), from_euler_deg(*pose), (256, 512)
    view = (view_rays(camera) @ R.T).astype(np.float32)
    yaw, pitch, roll = to_euler_deg(R.T)
    options = f"flat:e:ih_fov=90:iv_fov=60:yaw={yaw}:pitch={pitch}:roll={roll}"
    theirs = project_directions(view, f"{options}:w={size[1]}:h={size[0]}", size)
    erp, mask = view_to_erp(view[None], R, camera, size)
    rays = erp[0][mask[0]] @ R
    scale = [(camera.width - 1) / camera.width, (camera.height - 1) / camera.height, 1]
    rays = rays / rays[:, 2:] * scale
    # v360 repeats the outermost half pixel.
    inner = np.abs(rays / [1, np.tan(np.radians(30)), 1])[:, :2].max(1) < 0.97
    assert angle_deg(rays @ R.T, theirs[mask[0]])[inner].max() < MAX_ERROR_DEG


def test_8_bit_views_are_v360s(picture):
    view = erp_to_view(picture, from_euler_deg(40, 25, 10), Camera(90, 96, 64, 60))[0]
    options = "e:flat:h_fov=90:v_fov=60:yaw=40:pitch=25:roll=10:w=96:h=64"
    assert np.abs(view.astype(int) - run_v360(picture[0], options, (64, 96))).mean() < 1.5
