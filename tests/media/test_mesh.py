"""Meshes: a real camera's, our own, and hostile ones."""

import struct
import zlib

import numpy as np
import pytest

from argus.media import read_spherical
from argus.media.boxes import boxes_of_file, find, pack, payload_in_file
from argus.media.mesh import eac_box, read_meshes
from argus.sphere import CubeLayout
from argus.sphere.cube import cube_grid


def box(mesh, coding=b"raw "):
    data = pack(b"mesh", mesh)
    if coding == b"dfl8":
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        data = packer.compress(data) + packer.flush()
    return bytes(8) + coding + data


def mesh(values, vertices, lists):
    """A mesh by the letter of the RFC, bit by bit."""

    def bits(numbers, count):
        width = int(np.ceil(np.log2(count * 2)))
        text = "".join(f"{2 * n if n >= 0 else -2 * n - 1:0{width}b}" for n in numbers)
        text += "0" * (-len(text) % 8)
        return int(text or "0", 2).to_bytes(len(text) // 8, "big")

    def steps(numbers):
        return (
            np.diff(np.asarray(numbers), axis=0, prepend=0 * np.asarray(numbers)[:1])
            .ravel()
            .tolist()
        )

    content = struct.pack(f">I{len(values)}f", len(values), *values)
    content += (
        struct.pack(">I", len(vertices))
        + bits(steps(vertices), len(values))
        + struct.pack(">I", len(lists))
    )
    for form, order in lists:
        content += (
            bytes([0, form]) + struct.pack(">I", len(order)) + bits(steps(order), len(vertices))
        )
    return content


VALUES = [0.0, 1.0, -1.0, 0.25]
CORNERS = [
    [1, 0, 0, 1, 0],
    [0, 1, 0, 0, 1],
    [0, 0, 2, 3, 3],
    [2, 0, 0, 0, 0],
]  # +x, up, ahead, -x; with places


@pytest.mark.parametrize("coding", [b"raw ", b"dfl8"])
@pytest.mark.parametrize(
    ("form", "order"), [(0, [0, 1, 2, 2, 1, 3]), (1, [0, 1, 2, 3]), (2, [1, 0, 2, 3])]
)
def test_triangles_strips_and_fans_are_read(coding, form, order):
    (found,) = read_meshes(box(mesh(VALUES, CORNERS, [(form, order)]), coding))
    assert found.directions.shape == (2, 3, 3)
    assert found.coverage == pytest.approx(2 / 8)  # two octants
    directions, places = (
        found.directions.reshape(-1, 3).tolist(),
        found.places.reshape(-1, 2).tolist(),
    )
    assert dict(zip(map(tuple, directions), places, strict=True)) == {
        (1.0, 0.0, 0.0): [1.0, 1.0],  # the RFC counts rows from below
        (0.0, -1.0, 0.0): [0.0, 0.0],  # its y points up
        (0.0, 0.0, 1.0): [0.25, 0.75],  # and its z back
        (-1.0, 0.0, 0.0): [0.0, 1.0],
    }


@pytest.mark.parametrize("size", [(2160, 3840), (1440, 2560), (540, 960), (144, 256)])
def test_our_own_mesh_is_a_whole_equi_angular_cubemap(size):
    content = eac_box(size)
    assert struct.unpack_from(">I", content, 4)[0] == zlib.crc32(content[8:])
    (found,) = read_meshes(content)
    assert found.coverage == pytest.approx(1, abs=1e-6)
    assert found.is_eac(size)
    a, b, c = np.moveaxis(found.directions * (1, -1, -1), 1, 0)  # the RFC's axes
    assert ((np.cross(b - a, c - a) * a).sum(-1) < 0).all()  # counter-clockwise seen from within


def test_another_cubemap_is_not_taken_for_one():
    for layout in (CubeLayout.C3X2, CubeLayout.EAC):
        directions, places = cube_grid((540, 960), layout)
        if layout is CubeLayout.EAC:
            places = places[:, :, ::-1]  # mirrored
        points = np.concatenate([directions * (1, -1, -1), places * (1, -1) + (0, 1)], -1).reshape(
            -1, 5
        )
        values, indices = np.unique(points.astype(np.float32), return_inverse=True)
        corner = np.arange(6)[:, None, None] * 81 + np.arange(8)[:, None] * 9 + np.arange(8)
        triangles = np.stack(
            [corner, corner + 9, corner + 1, corner + 1, corner + 9, corner + 10], -1
        ).reshape(-1)
        (found,) = read_meshes(box(mesh(values.tolist(), indices.reshape(-1, 5), [(0, triangles)])))
        assert found.coverage == pytest.approx(1, abs=1e-5)
        assert not found.is_eac((540, 960))


@pytest.mark.media
def test_a_real_cameras_meshes_are_a_quarter_of_the_sphere_each(media):
    path = media / "360/partial_stereo_tb_mshp.mp4"
    metadata = read_spherical(path)
    assert (metadata.projection, metadata.is_full_sphere, metadata.stereo_mode) == (
        "mesh",
        False,
        "top-bottom",
    )
    assert metadata.coverage == pytest.approx(0.2466, abs=1e-3)
    with path.open("rb") as file:
        moov = payload_in_file(
            file, next(one for one in boxes_of_file(file) if one.kind == b"moov")
        )
    entry = next(
        one
        for track in find(moov, b"trak")
        for one in find(track, b"mdia", b"minf", b"stbl", b"stsd")
        if b"mshp" in one
    )
    meshes = read_meshes(entry[entry.index(b"mshp") + 4 :])
    for found in meshes:
        middle = found.directions[np.abs(found.places - 0.5).max((1, 2)) < 0.05].mean((0, 1))
        assert middle[2] > 0.95 * np.linalg.norm(
            middle
        )  # the middle of each eye's picture is ahead
        right, below = (
            found.directions[found.places[..., axis].min(1) > 0.9].mean((0, 1)) for axis in (0, 1)
        )
        assert right[0] > 0.5
        assert below[1] > 0.5
    assert len(meshes) == 2


GOOD = mesh(VALUES, CORNERS, [(0, [0, 1, 2])])


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\1" + box(GOOD)[1:],
        box(GOOD)[:8] + b"what" + box(GOOD)[12:],
        box(GOOD, b"dfl8")[:-3],
        *(box(GOOD[:cut]) for cut in (3, 10, 21, 25, 30, 33, len(GOOD) - 1)),
        box(struct.pack(">I", 0)),
        box(struct.pack(">I", 2**31) + bytes(100)),
        box(struct.pack(">If", 1, float("nan")) + GOOD[20:]),
        box(mesh(VALUES, [[0, 0, 0, 0, -1]], [(0, [0, 0, 0])])),
        box(mesh(VALUES, CORNERS, [(0, [0, 1, 4])])),
        box(mesh(VALUES, CORNERS, [(3, [0, 1, 2])])),
        box(mesh(VALUES, CORNERS, [(1, [0, 1])])),
    ],
)
def test_hostile_meshes_count_as_absent(content):
    assert read_meshes(content) == []


def test_a_mesh_that_inflates_without_end_is_cut_off():
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = (
        packer.compress(struct.pack(">I4sI", 1 << 30, b"mesh", 9) + bytes(64 << 20))
        + packer.flush()
    )
    assert len(bomb) < 100_000
    assert read_meshes(bytes(8) + b"dfl8" + bomb) == []


def test_a_mesh_of_no_size_covers_nothing():
    (found,) = read_meshes(box(mesh([0.0], [[0] * 5], [(0, [0, 0, 0])])))
    assert (found.coverage, found.is_eac((64, 96))) == (0.0, False)
