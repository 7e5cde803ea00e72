"""ERP maps whose value in every direction is known."""

import numpy as np
import pytest

from tests.support.sphere import erp_rays, smooth_map


@pytest.fixture
def direction_map():
    """ERP map [1, 256, 512, 3] whose color is its own direction."""
    return erp_rays((256, 512))[None].astype(np.float32)


@pytest.fixture
def picture():
    """Smooth random uint8 ERP map [1, 128, 256, 3]."""
    return smooth_map((128, 256))
