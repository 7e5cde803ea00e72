"""Training of a model in the format of Stable Video Diffusion."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from argus.dataset import Dataset
from argus.runs import RunFolder
from argus.train import train
from schemas.config import TrainConfig
from schemas.names import JobKind
from tests.support.models import save_small_svd


@pytest.fixture
def small_svd(tmp_path: Path) -> Path:
    """A folder in the format of Stable Video Diffusion, with few random weights."""
    return save_small_svd(tmp_path / "svd")


@pytest.mark.slow
def test_svd_model_trains_resumes_and_opens_in_diffusers(
    configure: Callable[..., TrainConfig], dataset: Dataset, small_svd: Path
) -> None:
    import diffusers

    model = {
        "name": str(small_svd),
        "height": 64,
        "frames": 3,
        "context_frames": 1,
        "view_height": 32,
    }
    config = configure(
        model=model, batch=1, validation_clips=1, sample_every=9, checkpoint_every=1, steps=1
    )
    folder = RunFolder.of(config, JobKind.TRAIN)
    assert train(config, folder, dataset).step == 1
    summary = train(config.model_copy(update={"steps": 2}), folder, dataset)
    assert summary.step == 2
    assert summary.pipeline is not None
    trained = diffusers.StableVideoDiffusionPipeline.from_pretrained(
        summary.pipeline, use_safetensors=True, low_cpu_mem_usage=False
    )
    before = diffusers.StableVideoDiffusionPipeline.from_pretrained(
        summary.untrained, use_safetensors=True, low_cpu_mem_usage=False
    )
    assert not torch.equal(trained.unet.conv_out.weight, before.unet.conv_out.weight)
    assert torch.equal(trained.vae.quant_conv.weight, before.vae.quant_conv.weight)
