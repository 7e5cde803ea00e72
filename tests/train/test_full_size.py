"""Training weights of Stable Video Diffusion's format."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from argus.dataset import Dataset
from argus.runs import RunFolder
from argus.train import train
from schemas.config import TrainConfig
from schemas.names import JobKind


@pytest.fixture
def small_svd(tmp_path: Path) -> Path:
    """A folder of the format, with few random weights."""
    import diffusers
    import transformers

    torch.manual_seed(0)
    pipeline = diffusers.StableVideoDiffusionPipeline(
        unet=diffusers.UNetSpatioTemporalConditionModel(
            block_out_channels=(32, 64),
            down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
            up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
            num_attention_heads=(2, 4),
            layers_per_block=1,
            cross_attention_dim=32,
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=24,
            num_frames=3,
        ),
        vae=diffusers.AutoencoderKLTemporalDecoder(
            block_out_channels=(32,) * 4, down_block_types=("DownEncoderBlock2D",) * 4
        ),
        image_encoder=transformers.CLIPVisionModelWithProjection(
            transformers.CLIPVisionConfig(
                hidden_size=32,
                intermediate_size=37,
                num_hidden_layers=2,
                num_attention_heads=4,
                projection_dim=32,
            )
        ),
        scheduler=diffusers.EulerDiscreteScheduler(
            prediction_type="v_prediction", timestep_type="continuous", use_karras_sigmas=True
        ),
        feature_extractor=transformers.CLIPImageProcessor(),
    )
    pipeline.save_pretrained(tmp_path / "svd", safe_serialization=True)
    return tmp_path / "svd"


@pytest.mark.slow
def test_a_full_size_model_trains_resumes_and_opens_in_diffusers(
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
