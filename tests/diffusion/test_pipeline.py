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
    read_settings,
    sample_video,
)
from argus.diffusion.image_encoder import ThumbnailEncoder, orthonormal_projection
from argus.errors import InvalidInput
from argus.synth import serve_folder
from schemas.config import ModelSettings, SampleSettings

MakeCondition = Callable[..., Condition]
QUICK = SampleSettings(steps=2, guidance=1.0, guidance_start=1.0)


def test_saved_tiny_model_generates_the_same(
    tiny: ArgusPipeline, condition: MakeCondition, tmp_path: Path
) -> None:
    folder = tiny.with_provenance(snapshot=3, step=7).save_pretrained(tmp_path / "model")
    loaded = ArgusPipeline.from_pretrained(folder)
    assert loaded.settings == tiny.settings
    assert loaded.settings.provenance["snapshot"] == 3
    cond = condition(tiny)
    assert torch.equal(
        sample_video(loaded, cond, QUICK, seed=0), sample_video(tiny, cond, QUICK, seed=0)
    )
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} == {
        ".json",
        ".safetensors",
    }


def test_saving_replaces_a_pipeline_but_no_other_folder(
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


def test_untrained_tiny_model_has_3_1_m_parameters_and_is_a_function_of_its_seed(
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


def test_thumbnail_encoder_is_an_orthonormal_map_of_the_whole_frame() -> None:
    projection = orthonormal_projection(64, seed=0)
    torch.testing.assert_close(projection @ projection.T, torch.eye(64), atol=1e-5, rtol=0)
    view = torch.linspace(-1, 1, 8)[:, None].expand(1, 1, 3, 8, 8)
    large = view.repeat_interleave(5, -1).repeat_interleave(3, -2)
    encoder = ThumbnailEncoder(projection)
    torch.testing.assert_close(encoder.encode(large), encoder.encode(view))


@pytest.mark.parametrize("damage", ["settings", "unknown field", "weights", "tokens", "unet"])
def test_error_of_a_damaged_folder_names_the_file_or_field(
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
            settings.write_text(json.dumps({**json.loads(settings.read_text()), "color": "red"}))
        case "weights":
            weights.write_bytes(weights.read_bytes()[:1000])
        case "tokens":
            (folder / "tokens.safetensors").unlink()
        case "unet":
            shutil.rmtree(folder / "unet")
    named = {
        "settings": "argus.json",
        "unknown field": "color",
        "weights": "unet",
        "tokens": "tokens.safetensors",
        "unet": "unet",
    }[damage]
    with pytest.raises(InvalidInput) as caught:
        ArgusPipeline.from_pretrained(folder)
    assert named in str(caught.value)


def test_folders_that_are_not_pipelines_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    cases = {
        tmp_path / "absent": "absent",
        tmp_path: "argus.json",
        other: "StableVideoDiffusionPipeline",
    }
    for folder, named in cases.items():
        with pytest.raises(InvalidInput) as caught:
            ArgusPipeline.from_pretrained(folder)
        assert named in str(caught.value)


@pytest.mark.parametrize(
    ("hub_id", "command"),
    [
        ("stabilityai/stable-video-diffusion-img2vid", "argus weights fetch svd"),
        ("stabilityai/stable-video-diffusion-img2vid-xt", "--local-dir"),
        ("argus-nobody/argus-nothing", "--local-dir"),
        ("openai/clip-vit-large-patch14", "--local-dir"),
    ],
)
def test_a_model_of_the_hub_that_was_not_verified_is_not_loaded(
    hub_id: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site" / hub_id / "resolve/main"
    site.mkdir(parents=True)
    (site / "model_index.json").write_text("{}")
    monkeypatch.setenv("ARGUS_HOME", str(tmp_path / "home"))
    with serve_folder(tmp_path / "site") as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        for base in (None, hub_id):
            with pytest.raises(InvalidInput, match=command):
                ArgusPipeline.from_pretrained(hub_id, base=base)
        assert not server.requests


def test_argus_json_has_the_fields_of_format_version_1(tiny: ArgusPipeline, tmp_path: Path) -> None:
    folder = tiny.save_pretrained(tmp_path / "model")
    stored = json.loads((folder / "argus.json").read_text())
    assert stored["version"] == 1
    assert set(stored) == {
        "version",
        "kind",
        "height",
        "frames",
        "context_frames",
        "view_height",
        "circular",
        "residual",
        "sigma_min",
        "sigma_max",
        "rho",
        "sample",
        "bands",
        "provenance",
    }
    assert read_settings(folder) == tiny.settings


def test_network_that_does_not_fit_is_refused_with_every_fault(
    tiny: ArgusPipeline, svd_folder: Path
) -> None:
    full = ArgusPipeline.from_pretrained(svd_folder)
    with pytest.raises(InvalidInput) as caught:
        ArgusPipeline(tiny.unet, full.latents, full.image_encoder, full.settings)
    assert all(named in str(caught.value) for named in ("96", "cross_attention_dim"))


def test_svd_folder_opens_with_other_sizes_and_is_saved_for_diffusers(
    svd_folder: Path, tmp_path: Path
) -> None:
    import diffusers

    model = ModelSettings(name=str(svd_folder), height=64, frames=3, context_frames=1)
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


def test_svd_pipeline_samples(svd_folder: Path) -> None:
    pipeline = build_pipeline(
        ModelSettings(name=str(svd_folder), height=64, frames=3, context_frames=1)
    )
    erp, mask = torch.zeros(1, 3, 3, 64, 128), torch.ones(1, 3, 64, 128, dtype=torch.bool)
    cond = make_condition(
        pipeline.latents,
        pipeline.image_encoder,
        pipeline.settings,
        erp=erp,
        mask=mask,
        views=torch.zeros(1, 3, 3, 40, 60),
        fps=5,
        sigma_c=0.02,
        generator=torch.Generator().manual_seed(0),
    )
    assert cond.latents.shape == (1, 3, 4, 8, 16)
    assert cond.fill is None
    video = sample_video(pipeline, cond, QUICK, seed=0)
    assert video.shape == (1, 3, 3, 64, 128)
    assert video.isfinite().all()


def test_unet_folder_opens_with_a_base(svd_folder: Path, tmp_path: Path) -> None:
    import diffusers

    unet = diffusers.UNetSpatioTemporalConditionModel.from_pretrained(
        svd_folder / "unet", low_cpu_mem_usage=False
    )
    with torch.no_grad():
        unet.conv_out.bias.fill_(7)
    unet.save_pretrained(tmp_path / "alone")
    unet.save_pretrained(tmp_path / "below" / "unet")
    for folder in (tmp_path / "alone", tmp_path / "below"):
        with pytest.raises(InvalidInput) as caught:
            ArgusPipeline.from_pretrained(folder)
        assert "base=" in str(caught.value)
        assert (
            ArgusPipeline.from_pretrained(folder, base=svd_folder).unet.conv_out.bias == 7
        ).all()


def test_pickled_weights_are_not_read(svd_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(svd_folder, folder)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(InvalidInput):
        ArgusPipeline.from_pretrained(folder)
