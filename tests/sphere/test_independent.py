"""Agreement with two independent implementations, py360convert 1.0 and ffmpeg's v360, each within its own conventions.

Both are given a map whose colour is its own direction, so that what they show is an angle. Where their pixels lie elsewhere than ours, the test says
where, and compares with the directions that must then be seen; what is left is the rounding of their samplers.

- py360convert's views and cube faces have the centres of their outermost pixels on the edge of the field of view, ours half a pixel within: the same
  as a focal length of (w-1)/2 instead of w/2 over the tangent. Its pose is ours: u is yaw, v pitch, and in_rot, about the line of sight they give,
  roll. It samples maps as we do, its weights rounded to 1/32. Its `c2e` reads faces half a pixel off (index n/2 is a face's middle) and makes maps
  whose first and last column are the same meridian and whose first and last row are the poles.
- v360 takes the centres of the outermost pixels of what it reads, maps and views, for their edges: half a pixel off ours there, right in the middle.
  The pixels that it writes lie as ours. Its yaw, pitch and roll are ours where it reads a map; where it reads a view, they turn the map it makes.

Measured, degrees: `e2p` 0.015, `e2c` 0.015, `c2e` 0.019, v360's views 0.013, views that it places in a map 0.014; 1/32 of a map's pixel is 0.022.
"""

import subprocess

import imageio_ffmpeg
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

POSES = [(0, 0, 0), (40, 25, 10), (-170, -50, 30), (179, 0, -20), (95, 80, 5), (10, -90, 0)]
FACES = {"F": (0, 0), "R": (90, 0), "B": (180, 0), "L": (-90, 0), "U": (0, 90), "D": (0, -90)}


def edge_camera(fov_deg, width, height):
    """A camera whose outermost pixels' centres lie on the edge of fov_deg (x, y)."""
    fx, fy = (
        (n - 1) / 2 / np.tan(np.radians(fov) / 2)
        for n, fov in zip((width, height), fov_deg, strict=True)
    )
    return Camera.from_focal(fx, width, height, fy)


@pytest.mark.parametrize("pose", POSES)
def test_views_are_py360converts(directions, pose, angle_deg):
    yaw, pitch, roll = pose
    theirs = py360convert.e2p(directions[0], (80.0, 60.0), yaw, pitch, (60, 80), in_rot_deg=roll)
    ours = erp_to_view(directions, from_euler_deg(yaw, pitch, roll), edge_camera((80, 60), 80, 60))[
        0
    ]
    assert angle_deg(ours, theirs).max() < 0.025


def test_cube_faces_are_py360converts(directions, angle_deg):
    """Views of the same pixels, and our own cube, whose pixels lie up to half a pixel further in."""
    theirs = py360convert.e2c(directions[0], 96, cube_format="dict")
    ours = erp_to_cube(directions, 96, "6x1")[0]
    half_a_pixel = np.degrees(1 / 96)  # in the middle of a face
    for k, name in enumerate("RLUDFB"):
        view = erp_to_view(
            directions, from_euler_deg(*FACES[name], 0), edge_camera((90, 90), 96, 96)
        )[0]
        assert angle_deg(view, theirs[name]).max() < 0.025
        assert angle_deg(ours[:, k * 96 : (k + 1) * 96], theirs[name]).max() < half_a_pixel


def test_maps_of_cubes_are_py360converts(directions, angle_deg):
    """What its half pixels make of a cube of ours, away from the faces' edges; from our own map that is as much as its pixels and its faces' are."""
    n, height, width = 128, 128, 256
    cube = erp_to_cube(directions, n, "6x1")[0]
    faces = {name: cube[:, k * n : (k + 1) * n] for k, name in enumerate("RLUDFB")}
    theirs = py360convert.c2e(faces, height, width, cube_format="dict")
    lon, lat = np.meshgrid(
        np.linspace(-np.pi, np.pi, width), np.linspace(np.pi / 2, -np.pi / 2, height)
    )
    rays = np.stack([np.cos(lat) * np.sin(lon), -np.sin(lat), np.cos(lat) * np.cos(lon)], -1)
    compared = 0
    for pose in FACES.values():
        turn = from_euler_deg(*pose, 0)
        s, t, ahead = np.moveaxis(rays @ turn, -1, 0)
        inner = (ahead > 0) & (np.maximum(np.abs(s), np.abs(t)) < 0.95 * ahead)
        s, t = (
            s[inner] / ahead[inner] + 1 / n,
            t[inner] / ahead[inner] + 1 / n,
        )  # half a pixel further
        assert (
            angle_deg(theirs[inner], np.stack([s, t, np.ones_like(s)], -1) @ turn.T).max() < 0.025
        )
        compared += inner.sum()
    assert compared > 0.85 * height * width
    ours = cube_to_erp(cube[None], (height, width), "6x1")[0]
    assert np.median(angle_deg(ours, theirs)) < 360 / width


def v360(directions, filters, size):
    """ffmpeg's projection of a picture of directions [H, W, 3], through 16 bits."""
    picture = np.rint((0.5 + 0.45 * directions) * 65535).astype("<u2")
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb48le",
    ]
    command += ["-s", f"{picture.shape[1]}x{picture.shape[0]}", "-i", "-"]
    command += [
        "-vf",
        f"format=gbrp16le,v360={filters}:interp=linear,format=rgb48le",
        "-f",
        "rawvideo",
        "-",
    ]
    done = subprocess.run(command, input=picture.tobytes(), capture_output=True, check=True)
    return (np.frombuffer(done.stdout, "<u2").reshape(*size, 3) / 65535 - 0.5) / 0.45


@pytest.mark.parametrize("pose", POSES)
def test_views_are_v360s(directions, pose, angle_deg):
    camera, (height, width) = Camera(90, 96, 64, 60), directions.shape[1:3]
    yaw, pitch, roll = pose
    theirs = v360(
        directions[0],
        f"e:flat:h_fov=90:v_fov=60:yaw={yaw}:pitch={pitch}:roll={roll}:w=96:h=64",
        (64, 96),
    )
    x, y, z = np.moveaxis(erp_to_view(directions, from_euler_deg(*pose), camera)[0], -1, 0)
    lon, lat = (
        np.arctan2(x, z) * (width - 1) / width,
        np.arctan2(y, np.hypot(x, z)) * (height - 1) / height,
    )
    assert (
        angle_deg(
            np.stack([np.cos(lat) * np.sin(lon), np.sin(lat), np.cos(lat) * np.cos(lon)], -1),
            theirs,
        ).max()
        < 0.025
    )


@pytest.mark.parametrize("pose", POSES)
def test_placed_views_are_v360s(pose, angle_deg, view_rays_of):
    camera, R, size = Camera(90, 192, 128, 60), from_euler_deg(*pose), (256, 512)
    view = (view_rays_of(camera) @ R.T).astype(np.float32)
    yaw, pitch, roll = to_euler_deg(R.T)
    theirs = v360(
        view,
        f"flat:e:ih_fov=90:iv_fov=60:yaw={yaw}:pitch={pitch}:roll={roll}:w={size[1]}:h={size[0]}",
        size,
    )
    erp, mask = view_to_erp(view[None], R, camera, size)
    seen = erp[0][mask[0]] @ R
    shrunk = (
        seen
        / seen[:, 2:]
        * [(camera.width - 1) / camera.width, (camera.height - 1) / camera.height, 1]
    )
    inner = (
        np.abs(shrunk / [1, np.tan(np.radians(30)), 1])[:, :2].max(1) < 0.97
    )  # the outermost half pixel is repeated
    error = angle_deg((shrunk @ R.T), theirs[mask[0]])[inner]
    assert error.max() < 0.025
