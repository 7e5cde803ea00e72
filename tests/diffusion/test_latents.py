"""One contract for both latents, and what only the wavelet packing promises."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from argus.diffusion import ArgusPipeline, BandStatistics, Latents, TinyLatents, band_statistics
from argus.diffusion.latents import pack, unpack

Smooth = Callable[..., torch.Tensor]


@pytest.fixture(scope="module", params=["tiny", "vae"])
def latents(request: pytest.FixtureRequest, tiny: ArgusPipeline, full_folder: Path) -> Latents:
    return (
        tiny.latents
        if request.param == "tiny"
        else ArgusPipeline.from_pretrained(full_folder).latents
    )


@torch.no_grad()
def test_shapes_follow_factor_and_channels(latents: Latents, smooth: Smooth) -> None:
    z = latents.encode(smooth(0, 2, 3, 3, 32, 64))
    assert z.shape == (2, 3, latents.channels, 32 // latents.factor, 64 // latents.factor)
    assert latents.decode(z).shape == (2, 3, 3, 32, 64)
    assert z.dtype == torch.float32


@torch.no_grad()
def test_encoding_without_a_generator_is_the_mode_and_draws_repeat_by_seed(
    latents: Latents, smooth: Smooth
) -> None:
    video = smooth(0, 1, 3, 3, 32, 64)
    drawn = [latents.encode(video, torch.Generator().manual_seed(5)) for _ in range(2)]
    assert torch.equal(drawn[0], drawn[1])
    assert torch.equal(latents.encode(video), latents.encode(video))


@torch.no_grad()
def test_a_batch_is_its_videos(latents: Latents, smooth: Smooth) -> None:
    z = latents.encode(smooth(0, 2, 3, 3, 32, 64))
    torch.testing.assert_close(latents.decode(z)[1:], latents.decode(z[1:]), atol=1e-5, rtol=1e-4)


def test_packing_is_orthonormal_and_inverts(smooth: Smooth) -> None:
    frames = torch.rand(3, 3, 32, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    bands = pack(frames)
    assert bands.shape == (3, 48, 8, 16)
    torch.testing.assert_close(bands.square().sum(), frames.square().sum())
    torch.testing.assert_close(unpack(bands), frames, atol=1e-6, rtol=0)


def test_the_first_bands_are_the_colours_means() -> None:
    frame = torch.tensor([0.1, -0.2, 0.3])[None, :, None, None].expand(1, 3, 4, 4)
    bands = pack(frame)[0, :, 0, 0]
    torch.testing.assert_close(bands, torch.tensor([0.4, -0.8, 1.2] + [0.0] * 45))


def test_tiny_latents_invert_and_pass_gradients(tiny: ArgusPipeline, smooth: Smooth) -> None:
    video = smooth(9, 1, 3, 3, 32, 64).requires_grad_()
    decoded = tiny.latents.decode(tiny.latents.encode(video))
    torch.testing.assert_close(decoded, video, atol=1e-6, rtol=0)
    decoded.sum().backward()
    torch.testing.assert_close(video.grad, torch.ones_like(video))


def test_tiny_latents_turn_with_the_panorama(tiny: ArgusPipeline, smooth: Smooth) -> None:
    video = smooth(2, 1, 3, 3, 32, 64)
    turned = tiny.latents.encode(video.roll(8, dims=-1))
    torch.testing.assert_close(turned, tiny.latents.encode(video).roll(2, dims=-1))


def test_statistics_make_bands_of_unit_deviation(smooth: Smooth) -> None:
    videos = [
        torch.rand(3, 3, 32, 64, generator=torch.Generator().manual_seed(seed)) for seed in range(3)
    ]
    z = TinyLatents(band_statistics(videos)).encode(torch.stack(videos)).transpose(2, 0).flatten(1)
    torch.testing.assert_close(z.std(1), torch.ones(48), atol=0.01, rtol=0)
    torch.testing.assert_close(z[:3].mean(1), torch.zeros(3), atol=1e-4, rtol=0)


def test_statistics_need_videos_and_the_right_count() -> None:
    with pytest.raises(ValueError, match="at least one video"):
        band_statistics([])
    with pytest.raises(ValidationError, match="48 numbers"):
        BandStatistics(mean=(0.0,), std=(1.0,))


def test_shrinking_is_the_best_estimate_of_noisy_latents(smooth: Smooth) -> None:
    videos = torch.stack([smooth(seed, 3, 3, 32, 64) for seed in range(8)])
    latents = TinyLatents(band_statistics(videos))
    noisy = latents.encode(
        videos + 0.2 * torch.randn(videos.shape, generator=torch.Generator().manual_seed(0))
    )
    truth = latents.encode(videos)
    errors = [
        (latents.shrunk(noisy, sigma) - truth).square().mean() for sigma in (0.0, 0.1, 0.2, 0.4)
    ]
    assert min(errors) == errors[2]


def test_the_vae_scales_as_stable_video_diffusion(full_folder: Path) -> None:
    latents = ArgusPipeline.from_pretrained(full_folder).latents
    assert (latents.scale, latents.channels, latents.factor) == (0.18215, 4, 8)
