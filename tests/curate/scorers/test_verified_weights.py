"""Scorers run on the weights that a run was planned with, on every machine, or not at all."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from argus.curate.quality import is_high_quality, score_values
from argus.curate.scorers import (
    REGISTRY,
    LocalScorerPool,
    ScorerPlan,
    find_scorers,
    load_scorers,
    plan_scorers,
    scorer_class,
    scorer_key,
)
from argus.curate.thresholds import HIGH_QUALITY_THRESHOLDS
from argus.dataset import Score
from argus.errors import InvalidInput
from argus.networks import NETWORKS, LpipsVgg, accept_weights
from ray_jobs.curate.scorer_pool import ScorerActor
from schemas.config import CurateConfig, FilterSettings, LearnedSettings, LearnedThresholds

FILES = NETWORKS["lpips"].files
WIDTHS = (4, 4, 8, 8, 8)
HOLDERS: dict[str, Callable[[ScorerPlan], object]] = {
    "local": LocalScorerPool,
    "ray": lambda plan: ScorerActor(plan, "cpu").load(),
    "plain": lambda plan: load_scorers(plan.ready, plan.weights, "cpu", keys=plan.keys),
}


def save_lpips(weights: Path, head: float) -> None:
    """Save and accept tiny weights of LPIPS."""
    torch.manual_seed(0)
    network = LpipsVgg(WIDTHS)
    (weights / "lpips").mkdir(parents=True, exist_ok=True)
    features = {f"features.{name}": one for name, one in network.features.state_dict().items()}
    heads = {
        f"lin{depth}.model.1.weight": torch.full((1, width, 1, 1), head)
        for depth, width in enumerate(WIDTHS)
    }
    for file, tensors in zip(FILES, (features, heads), strict=True):
        save_file(tensors, weights / file.path)
    accept_weights(weights, FILES)


def make_config(weights: Path, **thresholds: float) -> CurateConfig:
    return CurateConfig(
        catalogue="none",
        learned=LearnedSettings(scorers=("lpips",), weights=str(weights)),
        filters=FilterSettings(learned=LearnedThresholds(**thresholds)),
    )


def plan_of(weights: Path) -> ScorerPlan:
    plan = plan_scorers(make_config(weights))
    assert plan is not None
    return plan


@pytest.mark.parametrize("holder", HOLDERS)
def test_a_process_with_the_planned_weights_loads_them(tmp_path: Path, holder: str) -> None:
    save_lpips(tmp_path, 1.0)
    plan = plan_of(tmp_path)
    assert plan.keys == (scorer_key("lpips", tmp_path),)
    HOLDERS[holder](plan)
    save_lpips(tmp_path / "other machine", 1.0)
    HOLDERS[holder](replace(plan, weights=tmp_path / "other machine"))


def change_weights(weights: Path) -> None:
    save_lpips(weights, 2.0)


def damage_weights(weights: Path) -> None:
    path = weights / FILES[1].path
    path.write_bytes(path.read_bytes()[:-1])


def remove_weights(weights: Path) -> None:
    (weights / FILES[1].path).unlink()


def forget_digests(weights: Path) -> None:
    (weights / "accepted.json").unlink()


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("change", [change_weights, damage_weights, remove_weights, forget_digests])
def test_a_process_with_other_weights_refuses_to_score(
    tmp_path: Path, holder: str, change: Callable[[Path], None]
) -> None:
    save_lpips(tmp_path, 1.0)
    plan = plan_of(tmp_path)
    change(tmp_path)
    with pytest.raises(InvalidInput, match="lpips"):
        HOLDERS[holder](plan)


def test_a_process_with_another_version_of_a_scorer_refuses_to_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_lpips(tmp_path, 1.0)
    plan = plan_of(tmp_path)
    monkeypatch.setattr(scorer_class("lpips"), "version", 2)
    with pytest.raises(InvalidInput, match="lpips:2:"):
        LocalScorerPool(plan)


@pytest.mark.parametrize("change", [damage_weights, remove_weights, forget_digests])
def test_a_threshold_needs_weights_that_are_verified(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    save_lpips(tmp_path, 1.0)
    change(tmp_path)
    ready, missing = find_scorers(["lpips"], tmp_path)
    assert (ready, missing.keys()) == ((), {"lpips"})
    assert "argus weights" in missing["lpips"]
    recorded = plan_of(tmp_path)
    assert (recorded.ready, recorded.keys) == ((), ())
    with pytest.raises(InvalidInput, match="lpips_between"):
        plan_scorers(make_config(tmp_path, lpips_between=0.1))


def test_a_mark_of_quality_does_not_depend_on_recorded_scores() -> None:
    assert not {row.filter for row in HIGH_QUALITY_THRESHOLDS} & set(REGISTRY)
    values = {
        "blur.fine": 5.0,
        "exposure.contrast": 0.5,
        "exposure.dark": 0.0,
        "exposure.bright": 0.0,
        "motion.share": 2.0,
        "text.share": 0.0,
        **{row.key: 0.0 for row in HIGH_QUALITY_THRESHOLDS},
    }
    recorded = [
        Score(name, one, 0.9) for name in REGISTRY for one in scorer_class(name).score_names
    ]
    settings = FilterSettings()
    alone = is_high_quality(values, settings)
    assert is_high_quality({**values, **score_values(recorded)}, settings) == alone
