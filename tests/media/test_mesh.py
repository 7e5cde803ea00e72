"""Meshes: those of a real camera, those written by this package, and hostile ones."""

import struct
import zlib

import numpy as np
import pytest

from argus.media import read_spherical
from argus.media.mesh import pack_eac_mesh, parse_meshes
from argus.media.mp4.boxes import find_payloads, iter_file_boxes, pack_box, read_payload
from argus.sphere import CubeLayout, cube_grid


def pack_mesh_box(mesh, encoding=b"raw "):
    """Return the payload of an mshp box."""
    data = pack_box(b"mesh", mesh)
    if encoding == b"dfl8":
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        data = packer.compress(data) + packer.flush()
    return bytes(8) + encoding + data


def pack_mesh(values, vertices, lists):
    """Return a mesh packed bit by bit as the RFC describes it."""

    def pack_bits(numbers, count):
        width = int(np.ceil(np.log2(count * 2)))
        text = "".join(f"{2 * n if n >= 0 else -2 * n - 1:0{width}b}" for n in numbers)
        text += "0" * (-len(text) % 8)
        return int(text or "0", 2).to_bytes(len(text) // 8, "big")

    def delta_code(numbers):
        return (
            np.diff(np.asarray(numbers), axis=0, prepend=0 * np.asarray(numbers)[:1])
            .ravel()
            .tolist()
        )

    content = struct.pack(f">I{len(values)}f", len(values), *values)
    content += (
        struct.pack(">I", len(vertices))
        + pack_bits(delta_code(vertices), len(values))
        + struct.pack(">I", len(lists))
    )
    for list_type, order in lists:
        content += (
            bytes([0, list_type])
            + struct.pack(">I", len(order))
            + pack_bits(delta_code(order), len(vertices))
        )
    return content


VALUES = [0.0, 1.0, -1.0, 0.25]
CORNERS = [
    [1, 0, 0, 1, 0],
    [0, 1, 0, 0, 1],
    [0, 0, 2, 3, 3],
    [2, 0, 0, 0, 0],
]  # +x, up, ahead, -x; with texture coordinates


@pytest.mark.parametrize("encoding", [b"raw ", b"dfl8"])
@pytest.mark.parametrize(
    ("list_type", "order"), [(0, [0, 1, 2, 2, 1, 3]), (1, [0, 1, 2, 3]), (2, [1, 0, 2, 3])]
)
def test_triangles_strips_and_fans_are_read(encoding, list_type, order):
    (found,) = parse_meshes(
        pack_mesh_box(pack_mesh(VALUES, CORNERS, [(list_type, order)]), encoding)
    )
    assert found.directions.shape == (2, 3, 3)
    assert found.coverage == pytest.approx(2 / 8)  # two octants
    directions, uv = (
        found.directions.reshape(-1, 3).tolist(),
        found.uv.reshape(-1, 2).tolist(),
    )
    assert dict(zip(map(tuple, directions), uv, strict=True)) == {
        (1.0, 0.0, 0.0): [1.0, 1.0],  # the RFC counts rows from the bottom
        (0.0, -1.0, 0.0): [0.0, 0.0],  # its y points up
        (0.0, 0.0, 1.0): [0.25, 0.75],  # and its z back
        (-1.0, 0.0, 0.0): [0.0, 1.0],
    }


@pytest.mark.parametrize("size", [(2160, 3840), (1440, 2560), (540, 960), (144, 256)])
def test_packed_eac_mesh_is_a_whole_equi_angular_cubemap(size):
    content = pack_eac_mesh(size)
    assert struct.unpack_from(">I", content, 4)[0] == zlib.crc32(content[8:])
    (found,) = parse_meshes(content)
    assert found.coverage == pytest.approx(1, abs=1e-6)
    assert found.is_eac(size)
    a, b, c = np.moveaxis(found.directions * (1, -1, -1), 1, 0)  # the RFC's axes
    assert ((np.cross(b - a, c - a) * a).sum(-1) < 0).all()  # counter-clockwise seen from within


def test_other_cubemaps_are_not_eac():
    for layout in (CubeLayout.C3X2, CubeLayout.EAC):
        directions, uv = cube_grid((540, 960), layout)
        if layout is CubeLayout.EAC:
            uv = uv[:, :, ::-1]  # mirrored
        points = np.concatenate([directions * (1, -1, -1), uv * (1, -1) + (0, 1)], -1).reshape(
            -1, 5
        )
        values, indices = np.unique(points.astype(np.float32), return_inverse=True)
        corner = np.arange(6)[:, None, None] * 81 + np.arange(8)[:, None] * 9 + np.arange(8)
        triangles = np.stack(
            [corner, corner + 9, corner + 1, corner + 1, corner + 9, corner + 10], -1
        ).reshape(-1)
        (found,) = parse_meshes(
            pack_mesh_box(pack_mesh(values.tolist(), indices.reshape(-1, 5), [(0, triangles)]))
        )
        assert found.coverage == pytest.approx(1, abs=1e-5)
        assert not found.is_eac((540, 960))


@pytest.mark.media
def test_meshes_of_a_real_camera_cover_a_quarter_of_the_sphere_each(media):
    path = media / "360/partial_stereo_tb_mshp.mp4"
    metadata = read_spherical(path)
    assert (metadata.projection, metadata.is_full_sphere, metadata.stereo_mode) == (
        "mesh",
        False,
        "top-bottom",
    )
    assert metadata.coverage == pytest.approx(0.2466, abs=1e-3)
    with path.open("rb") as file:
        moov = read_payload(
            file, next(box for box in iter_file_boxes(file) if box.box_type == b"moov")
        )
    entry = next(
        table
        for track in find_payloads(moov, b"trak")
        for table in find_payloads(track, b"mdia", b"minf", b"stbl", b"stsd")
        if b"mshp" in table
    )
    meshes = parse_meshes(entry[entry.index(b"mshp") + 4 :])
    for found in meshes:
        center = found.directions[np.abs(found.uv - 0.5).max((1, 2)) < 0.05].mean((0, 1))
        assert center[2] > 0.95 * np.linalg.norm(
            center
        )  # the center of each eye's picture is ahead
        right, below = (
            found.directions[found.uv[..., axis].min(1) > 0.9].mean((0, 1)) for axis in (0, 1)
        )
        assert right[0] > 0.5
        assert below[1] > 0.5
    assert len(meshes) == 2


VALID = pack_mesh(VALUES, CORNERS, [(0, [0, 1, 2])])


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\1" + pack_mesh_box(VALID)[1:],
        pack_mesh_box(VALID)[:8] + b"what" + pack_mesh_box(VALID)[12:],
        pack_mesh_box(VALID, b"dfl8")[:-3],
        *(pack_mesh_box(VALID[:cut]) for cut in (3, 10, 21, 25, 30, 33, len(VALID) - 1)),
        pack_mesh_box(struct.pack(">I", 0)),
        pack_mesh_box(struct.pack(">I", 2**31) + bytes(100)),
        pack_mesh_box(struct.pack(">If", 1, float("nan")) + VALID[20:]),
        pack_mesh_box(pack_mesh(VALUES, [[0, 0, 0, 0, -1]], [(0, [0, 0, 0])])),
        pack_mesh_box(pack_mesh(VALUES, CORNERS, [(0, [0, 1, 4])])),
        pack_mesh_box(pack_mesh(VALUES, CORNERS, [(3, [0, 1, 2])])),
        pack_mesh_box(pack_mesh(VALUES, CORNERS, [(1, [0, 1])])),
    ],
)
def test_hostile_meshes_count_as_absent(content):
    assert parse_meshes(content) == []


def test_inflation_is_bounded():
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = (
        packer.compress(struct.pack(">I4sI", 1 << 30, b"mesh", 9) + bytes(64 << 20))
        + packer.flush()
    )
    assert len(bomb) < 100_000
    assert parse_meshes(bytes(8) + b"dfl8" + bomb) == []


def test_degenerate_mesh_covers_nothing():
    (found,) = parse_meshes(pack_mesh_box(pack_mesh([0.0], [[0] * 5], [(0, [0, 0, 0])])))
    assert (found.coverage, found.is_eac((64, 96))) == (0.0, False)
