from collections.abc import Callable

import pytest
import torch

from argus.diffusion import ArgusPipeline, Condition, sample_latents, sample_video
from argus.diffusion.sampler import blend_weight, decode_blended, frame_guidance, karras_sigmas
from argus.diffusion.unet import disable_circular_padding, enable_circular_padding
from schemas.config import SampleSettings

MakeCondition = Callable[..., Condition]
PLAIN = SampleSettings(steps=3, guidance_start=1, guidance=1, rotate=False, blend=False)


def test_karras_sigmas_fall_from_largest_to_zero() -> None:
    sigmas = karras_sigmas(25, 0.002, 700, 7)
    assert sigmas[0] == pytest.approx(700)
    assert sigmas[24] == pytest.approx(0.002)
    assert sigmas[25] == 0
    assert (sigmas.diff() < 0).all()
    assert karras_sigmas(1, 0.002, 700, 7)[0] == pytest.approx(700)


def test_blend_weight_is_that_of_the_paper_at_pixel_centers() -> None:
    torch.testing.assert_close(blend_weight(4), torch.tensor([0.25, 0.75, 0.75, 0.25]))
    narrow = blend_weight(64, ratio=4)
    assert narrow.max() == 1
    torch.testing.assert_close(blend_weight(64) + blend_weight(64).roll(32), torch.ones(64))


def test_blended_decoding_keeps_the_output_of_an_exact_decoder(tiny: ArgusPipeline) -> None:
    z = torch.randn(1, 3, 48, 8, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        decode_blended(tiny.latents, z), tiny.latents.decode(z), atol=1e-5, rtol=0
    )


def test_blended_decoding_hides_a_seam() -> None:
    class Seamed:
        channels, factor, scale = 1, 2, 1.0

        def encode(
            self, video: torch.Tensor, generator: torch.Generator | None = None
        ) -> torch.Tensor:
            return video

        def decode(self, latents: torch.Tensor) -> torch.Tensor:
            video = latents.repeat_interleave(2, -1).clone()
            video[..., 0] += 1  # a visible seam at the left edge
            return video

        def to(self, device: torch.device, dtype: torch.dtype) -> "Seamed":
            return self

    blended = decode_blended(Seamed(), torch.zeros(1, 1, 1, 1, 8))
    assert blended.max() < 0.1


def test_video_is_a_function_of_the_seed_and_not_of_the_batch(
    tiny: ArgusPipeline, condition: MakeCondition
) -> None:
    one, two = condition(tiny, 1), condition(tiny, 2)
    first = sample_video(tiny, two, PLAIN, seed=4)
    assert torch.equal(first, sample_video(tiny, two, PLAIN, seed=4))
    assert not torch.equal(first, sample_video(tiny, two, PLAIN, seed=5))
    assert first.shape == (2, 3, 3, 32, 64)
    assert first.abs().max() <= 1
    alone = Condition(
        two.latents[:1],
        two.tokens[:1],
        two.time_ids[:1],
        None if two.fill is None else two.fill[:1],
    )
    torch.testing.assert_close(
        sample_video(tiny, alone, PLAIN, seed=4), first[:1], atol=1e-4, rtol=1e-4
    )
    assert sample_video(tiny, one, PLAIN, seed=4).shape == (1, 3, 3, 32, 64)


def test_rotation_during_sampling_keeps_the_output_of_a_circular_network(
    tiny: ArgusPipeline, condition: MakeCondition
) -> None:
    cond = condition(tiny)
    plain = sample_latents(tiny, cond, PLAIN, seed=0)
    rotated = sample_latents(tiny, cond, PLAIN.model_copy(update={"rotate": True}), seed=0)
    torch.testing.assert_close(rotated, plain, atol=2e-3, rtol=1e-3)


def test_only_a_circular_network_is_equivariant_to_rolls(
    tiny: ArgusPipeline, condition: MakeCondition
) -> None:
    cond = condition(tiny)
    noisy = torch.randn(cond.latents.shape, generator=torch.Generator().manual_seed(0))
    sigma = torch.tensor([1.0])

    @torch.no_grad()
    def difference() -> float:
        expected = tiny.denoiser(noisy, sigma, cond).roll(4, -1)
        return (
            (tiny.denoiser(noisy.roll(4, -1), sigma, cond.roll_longitude(4)) - expected)
            .abs()
            .max()
            .item()
        )

    keys = list(tiny.unet.state_dict())
    assert difference() < 1e-4
    count = disable_circular_padding(tiny.unet)
    assert difference() > 1e-3
    assert enable_circular_padding(tiny.unet) == count > 20
    assert difference() < 1e-4
    assert list(tiny.unet.state_dict()) == keys


def test_guidance_is_linear_over_frames_and_extrapolates_from_the_unconditional(
    tiny: ArgusPipeline, condition: MakeCondition
) -> None:
    torch.testing.assert_close(
        frame_guidance(1, 3, 5).flatten(), torch.tensor([1.0, 1.5, 2.0, 2.5, 3.0])
    )
    cond = condition(tiny)
    one_step = PLAIN.model_copy(update={"steps": 1})
    cond_only = sample_latents(tiny, cond, one_step, seed=0)
    uncond = sample_latents(tiny, cond.unconditional(), one_step, seed=0)
    guided = sample_latents(
        tiny, cond, one_step.model_copy(update={"guidance_start": 3.0, "guidance": 3.0}), seed=0
    )
    torch.testing.assert_close(guided, uncond + 3 * (cond_only - uncond), atol=1e-3, rtol=1e-3)


def test_progress_counts_steps(tiny: ArgusPipeline, condition: MakeCondition) -> None:
    calls: list[tuple[int, int]] = []
    sample_video(
        tiny,
        condition(tiny),
        PLAIN,
        seed=0,
        on_step=lambda done, total: calls.append((done, total)),
    )
    assert calls == [(1, 3), (2, 3), (3, 3)]
