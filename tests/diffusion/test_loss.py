import pytest
import torch

from argus.diffusion import diffusion_loss, height_weight, sample_sigma
from argus.diffusion.loss import mean_log_sigma
from schemas.config import NoisePhase, NoiseSettings
from schemas.names import HeightWeight


@pytest.mark.parametrize("kind", HeightWeight)
@pytest.mark.parametrize("rows", [8, 16, 64])
def test_height_weights_have_mean_one_and_are_symmetric(kind: HeightWeight, rows: int) -> None:
    weight = height_weight(kind, rows)
    assert weight.mean() == pytest.approx(1, abs=1e-6)
    torch.testing.assert_close(weight, weight.flip(0))
    assert weight[rows // 2] >= weight[0]


def test_paper_and_sqrt_weights_have_their_ratio_of_equator_to_pole() -> None:
    paper, root = height_weight(HeightWeight.PAPER, 1000), height_weight(HeightWeight.SQRT, 1000)
    assert paper[500] / paper[0] == pytest.approx(2, abs=0.01)  # (¼ + ¼)/(0 + ¼)
    assert root[500] / root[0] == pytest.approx(1.25 / (0.25 + 0.0447), abs=0.01)


def test_cos_weight_is_the_solid_angle() -> None:
    lat = (0.5 - (torch.arange(16) + 0.5) / 16) * torch.pi
    weight = height_weight(HeightWeight.COS, 16)
    torch.testing.assert_close(weight / weight[0], lat.cos() / lat.cos()[0])


def test_loss_weights_noise_levels_and_rows() -> None:
    target = torch.zeros(2, 3, 4, 8, 16)
    output = target.clone()
    output[0, :, :, 0] = 1  # one pole row of the first sample
    rows = height_weight(HeightWeight.COS, 8)
    loss = diffusion_loss(output, target, torch.tensor([1.0, 5.0]), rows)
    assert loss == pytest.approx(2 * float(rows[0]) / 16)
    assert diffusion_loss(target, target, torch.tensor([1.0, 5.0]), rows) == 0


def test_sigma_is_log_normal_with_a_floor() -> None:
    settings = NoiseSettings(p_mean=(NoisePhase(step=0, p_mean=0.5),), p_std=1.5)
    generator = torch.Generator().manual_seed(0)
    logs = torch.stack([sample_sigma(settings, 0, generator) for _ in range(4000)]).log()
    assert logs.mean() == pytest.approx(0.5, abs=0.1)
    assert logs.std() == pytest.approx(1.5, abs=0.1)
    floor = NoiseSettings(p_mean=(NoisePhase(step=0, p_mean=-50.0),), sigma_min=1e-5)
    assert sample_sigma(floor, 0, generator) == pytest.approx(1e-5)


def test_noise_schedule_has_phases() -> None:
    settings = NoiseSettings(
        p_mean=tuple(
            NoisePhase(step=step, p_mean=mean)
            for step, mean in ((0, 0.0), (5000, 0.5), (10000, 1.0))
        )
    )
    assert [mean_log_sigma(settings, step) for step in (0, 4999, 5000, 9999, 10000, 90000)] == [
        0,
        0,
        0.5,
        0.5,
        1,
        1,
    ]
