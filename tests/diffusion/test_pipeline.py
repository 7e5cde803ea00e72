import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from argus.diffusion import (
    ArgusPipeline,
    Condition,
    PipelineKind,
    build_pipeline,
    make_condition,
    sample,
)
from argus.diffusion.image_encoder import ThumbnailEncoder, orthonormal_projection
from argus.errors import InvalidInput, ServiceError
from schemas.config import ModelSettings, SampleSettings

Make = Callable[..., Condition]
QUICK = SampleSettings(steps=2, guidance=1.0, guidance_start=1.0)


def test_a_saved_tiny_model_generates_the_same(
    tiny: ArgusPipeline, condition: Make, tmp_path: Path
) -> None:
    folder = tiny.with_provenance(snapshot=3, step=7).save_pretrained(tmp_path / "model")
    loaded = ArgusPipeline.from_pretrained(folder)
    assert loaded.settings == tiny.settings
    assert loaded.settings.provenance["snapshot"] == 3
    told = condition(tiny)
    assert torch.equal(sample(loaded, told, QUICK, seed=0), sample(tiny, told, QUICK, seed=0))
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} == {
        ".json",
        ".safetensors",
    }


def test_saving_again_replaces_a_model_and_nothing_else(
    tiny: ArgusPipeline, tmp_path: Path
) -> None:
    folder = tiny.save_pretrained(tmp_path / "model")
    tiny.save_pretrained(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.txt").write_text("mine")
    with pytest.raises(OSError, match="photos"):
        tiny.save_pretrained(tmp_path / "photos")
    assert (tmp_path / "photos" / "a.txt").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 2


def test_an_untrained_tiny_model_has_the_size_meant_and_is_a_function_of_its_seed(
    tiny: ArgusPipeline,
) -> None:
    fresh = build_pipeline(ModelSettings(height=32, frames=3), statistics=tiny.settings.bands)
    assert sum(weight.numel() for weight in fresh.unet.parameters()) == pytest.approx(
        3.14e6, rel=0.01
    )
    same, other = (
        build_pipeline(
            ModelSettings(height=32, frames=3), statistics=tiny.settings.bands, seed=seed
        )
        for seed in (0, 1)
    )
    assert torch.equal(fresh.unet.conv_in.weight, same.unet.conv_in.weight)
    assert not torch.equal(fresh.unet.conv_in.weight, other.unet.conv_in.weight)


def test_thumbnail_tokens_are_a_fixed_orthonormal_map_of_the_whole_frame() -> None:
    projection = orthonormal_projection(64, seed=0)
    torch.testing.assert_close(projection @ projection.T, torch.eye(64), atol=1e-5, rtol=0)
    view = torch.linspace(-1, 1, 8)[:, None].expand(1, 1, 3, 8, 8)
    large = view.repeat_interleave(5, -1).repeat_interleave(3, -2)
    tokens = ThumbnailEncoder(projection)
    torch.testing.assert_close(tokens.encode(large), tokens.encode(view))


@pytest.mark.parametrize("damage", ["settings", "unknown field", "weights", "tokens", "unet"])
def test_a_damaged_folder_is_refused_with_its_fault(
    tiny: ArgusPipeline, tmp_path: Path, damage: str
) -> None:
    folder = tiny.save_pretrained(tmp_path / "model")
    settings, weights = (
        folder / "argus.json",
        folder / "unet" / "diffusion_pytorch_model.safetensors",
    )
    match damage:
        case "settings":
            settings.write_text("{")
        case "unknown field":
            settings.write_text(json.dumps({**json.loads(settings.read_text()), "colour": "red"}))
        case "weights":
            weights.write_bytes(weights.read_bytes()[:1000])
        case "tokens":
            (folder / "tokens.safetensors").unlink()
        case "unet":
            shutil.rmtree(folder / "unet")
    place = {
        "settings": "argus.json",
        "unknown field": "colour",
        "weights": "UNet",
        "tokens": "tokens.safetensors",
        "unet": "no UNet",
    }[damage]
    with pytest.raises(InvalidInput, match=place):
        ArgusPipeline.from_pretrained(folder)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no model folder"):
        ArgusPipeline.from_pretrained(tmp_path / "absent")
    with pytest.raises(InvalidInput, match="no pipeline"):
        ArgusPipeline.from_pretrained(tmp_path)
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    with pytest.raises(InvalidInput, match="must name StableVideoDiffusionPipeline"):
        ArgusPipeline.from_pretrained(tmp_path)


def test_a_hub_id_without_the_hub_is_a_service_error() -> None:
    with pytest.raises(ServiceError, match="hub"):
        ArgusPipeline.from_pretrained("argus-nobody/argus-nothing")


def test_a_network_that_does_not_fit_is_refused(tiny: ArgusPipeline, full_folder: Path) -> None:
    full = ArgusPipeline.from_pretrained(full_folder)
    with pytest.raises(InvalidInput, match=r"channels are 96 in.*cross_attention_dim"):
        ArgusPipeline(tiny.unet, full.latents, full.tokens, full.settings)


def test_a_stable_video_diffusion_folder_opens_trains_sizes_and_is_opened_by_diffusers(
    full_folder: Path, tmp_path: Path
) -> None:
    import diffusers

    model = ModelSettings(name=str(full_folder), height=64, frames=3, context_frames=1)
    pipeline = build_pipeline(model)
    assert pipeline.settings.kind == PipelineKind.SVD
    assert (pipeline.settings.sigma_max, pipeline.settings.height, pipeline.settings.residual) == (
        700,
        64,
        False,
    )
    folder = pipeline.save_pretrained(tmp_path / "mine")
    plain = diffusers.StableVideoDiffusionPipeline.from_pretrained(
        folder, use_safetensors=True, low_cpu_mem_usage=False
    )
    for name, weight in plain.unet.state_dict().items():
        assert torch.equal(weight, pipeline.unet.state_dict()[name])
    assert json.loads((folder / "model_index.json").read_text())["feature_extractor"] == [
        "transformers",
        "CLIPImageProcessor",
    ]
    assert ArgusPipeline.from_pretrained(folder).settings == pipeline.settings
    assert not [path for path in folder.rglob("*") if path.suffix in {".bin", ".pt", ".pkl"}]


def test_the_full_size_kind_samples(full_folder: Path) -> None:
    pipeline = build_pipeline(
        ModelSettings(name=str(full_folder), height=64, frames=3, context_frames=1)
    )
    erp, mask = torch.zeros(1, 3, 3, 64, 128), torch.ones(1, 3, 64, 128, dtype=torch.bool)
    told = make_condition(
        pipeline,
        erp,
        mask,
        torch.zeros(1, 3, 3, 40, 60),
        fps=5,
        sigma_c=0.02,
        generator=torch.Generator().manual_seed(0),
    )
    assert told.latents.shape == (1, 3, 4, 8, 16)
    assert told.fill is None
    video = sample(pipeline, told, QUICK, seed=0)
    assert video.shape == (1, 3, 3, 64, 128)
    assert video.isfinite().all()


def test_a_released_unet_folder_loads_onto_a_base(full_folder: Path, tmp_path: Path) -> None:
    import diffusers

    unet = diffusers.UNetSpatioTemporalConditionModel.from_pretrained(
        full_folder / "unet", low_cpu_mem_usage=False
    )
    with torch.no_grad():
        unet.conv_out.bias.fill_(7)
    unet.save_pretrained(tmp_path / "alone")
    unet.save_pretrained(tmp_path / "below" / "unet")
    for folder in (tmp_path / "alone", tmp_path / "below"):
        with pytest.raises(InvalidInput, match="base="):
            ArgusPipeline.from_pretrained(folder)
        assert (
            ArgusPipeline.from_pretrained(folder, base=full_folder).unet.conv_out.bias == 7
        ).all()


def test_pickled_weights_are_not_read(full_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(full_folder, folder)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(InvalidInput, match="cannot be read"):
        ArgusPipeline.from_pretrained(folder)
