"""The two tracks of a GoPro MAX become the map that they were rendered from."""

import numpy as np
import pytest
import torch

from argus.errors import InvalidInput
from argus.sphere import find_gopro_layout, gopro_to_erp
from tests.support.sphere import as_numpy, as_torch
from tests.support.two_lenses import (
    GOPRO_SIZES,
    mask_seam_of_lenses,
    measure_psnr,
    show_gopro_tracks,
    show_map,
)

SMALL = {"5.6K at 1/8": (168, 512, 8), "3K at 1/4": (184, 568, 8)}


def assert_is_scene(erp, phase=0.0):
    size = erp.shape[:2]
    truth = show_map(size, phase)
    outside = mask_seam_of_lenses(size, np.array([0, 0, 1]))
    assert measure_psnr(erp, truth, outside) > 35
    assert measure_psnr(erp, truth, ~outside) > 35  # the scene has no parallax


@pytest.mark.parametrize("name", SMALL)
def test_tracks_become_the_map(name):
    height, width, overlap = SMALL[name]
    upper, lower = show_gopro_tracks((height, width), overlap)
    erp = gopro_to_erp(upper[None], lower[None])
    assert erp.shape == (1, 2 * height, 4 * height, 3)
    assert_is_scene(erp[0])
    assert_is_scene(gopro_to_erp(upper[None], lower[None], (96, 192), interpolation="cubic")[0])


def test_swapped_tracks_are_another_map():
    upper, lower = show_gopro_tracks((168, 512), 8)
    erp = gopro_to_erp(lower[None], upper[None])[0]
    everywhere = np.ones(erp.shape[:2], bool)
    assert measure_psnr(erp, show_map(erp.shape[:2]), everywhere) < 20


def test_the_overlap_is_blended_from_one_lens_to_the_other():
    upper, lower = (np.zeros((168, 512, 3), np.uint8) for _ in range(2))
    middle = 172 // 2
    upper[:, middle:172] = 200  # what the front lens sees of the left face
    erp = gopro_to_erp(upper[None], lower[None])[0]
    row = erp[len(erp) // 2, : erp.shape[1] // 2, 0].astype(int)
    seam = row[168 - 8 : 168 + 8]  # -90 degrees
    assert (np.diff(seam) >= 0).all()
    assert (seam.min(), seam.max()) == (0, 200)
    assert len(set(seam)) >= 8


def test_numpy_and_torch_agree():
    upper, lower = (x[None].astype(np.float32) / 255 for x in show_gopro_tracks((168, 512), 8))
    ours = gopro_to_erp(upper, lower, (128, 256))
    theirs = gopro_to_erp(as_torch(upper), as_torch(lower), (128, 256))
    np.testing.assert_allclose(as_numpy(theirs), ours, atol=2e-4)
    tensor = as_torch(upper).requires_grad_()
    gopro_to_erp(tensor, as_torch(lower), (32, 64)).sum().backward()
    assert torch.isfinite(tensor.grad).all()


def test_layouts_are_found_by_size():
    for height, width, overlap in [*GOPRO_SIZES.values(), *SMALL.values()]:
        layout = find_gopro_layout(width, height)
        assert layout is not None
        assert (layout.overlap, layout.erp_size) == (overlap, (2 * height, 4 * height))
    for size in [(3840, 2160), (2880, 2880), (4096, 1346), (4032, 1344)]:
        assert find_gopro_layout(*size) is None


@pytest.mark.parametrize(
    ("shapes", "value"),
    [
        (((1, 168, 512, 3), (1, 168, 510, 3)), "510"),
        (((1, 168, 512, 3), (2, 168, 512, 3)), "2, 168"),
        (((1, 100, 300, 3), (1, 100, 300, 3)), "300x100"),
    ],
)
def test_invalid_input_is_named(shapes, value):
    with pytest.raises(InvalidInput, match=value):
        gopro_to_erp(*(np.zeros(shape, np.uint8) for shape in shapes))
