"""What a change of the recipe leaves to be done, and that a stored recipe is read again."""

import json
from pathlib import Path
from typing import Any

import pytest

from argus.curate import Recipe, WorkKind, recipe, store_recipe, stored_recipe
from argus.curate.filters.blur import BlurFilter
from argus.curate.filters.text import TextFilter
from argus.curate.recipe import SCORED_WITH, THRESHOLDS
from argus.curate.scorers import scorer_class
from argus.dataset import Store
from argus.dataset.view import DatasetView
from argus.errors import InvalidInput
from schemas.config import (
    ClipSettings,
    CurateConfig,
    FetchSettings,
    FilterPolicy,
    HighQuality,
    LearnedSettings,
    LearnedThresholds,
)


def of(policy: FilterPolicy | None = None, **settings: Any) -> Recipe:
    return Recipe.of(CurateConfig(catalogue="none", policy=policy or FilterPolicy(), **settings))


BEFORE = of()


def kind(now: Recipe, before: Recipe | None = BEFORE) -> WorkKind:
    return now.work(before).kind


def test_every_field_of_the_policy_is_a_threshold_or_belongs_to_filters() -> None:
    """One that is neither would be taken to shape everything: say which it is in `argus.curate.recipe`."""
    assert set(FilterPolicy.model_fields) == THRESHOLDS | set(SCORED_WITH)
    assert not THRESHOLDS & set(SCORED_WITH)


def moved(name: str) -> FilterPolicy:
    value = getattr(FilterPolicy(), name)
    others = {
        "duplicates": "keep",
        "convert": (),
        "high_quality": HighQuality(quality=0.9),
        "black_level": 9,
    }
    return FilterPolicy(
        **{
            name: others.get(
                name, value if name in others or not isinstance(value, float) else value * 0.99
            )
        }
    )


@pytest.mark.parametrize("name", sorted(THRESHOLDS - {"learned"}))
def test_a_changed_threshold_is_decided_again(name: str) -> None:
    assert kind(of(moved(name))) is WorkKind.DECIDE
    assert of(moved(name)).digest != BEFORE.digest


def test_a_field_that_filters_read_makes_these_measure_again() -> None:
    work = of(moved("black_level")).work(BEFORE)
    assert (work.kind, work.filters) == (WorkKind.SCORE, {"black", "caps"})


def test_a_changed_filter_measures_again_and_a_new_one_for_the_first_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(BlurFilter, "version", BlurFilter.version + 1)
    assert of().work(BEFORE).filters == {"blur"}
    both = of(moved("black_level")).work(BEFORE)
    assert (both.kind, both.filters) == (WorkKind.SCORE, {"blur", "black", "caps"})
    monkeypatch.setattr(TextFilter, "name", "lettering")
    assert of().work(BEFORE).filters == {"blur", "lettering"}


def test_what_shapes_clips_or_samples_makes_everything_be_done_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert kind(of(clip=ClipSettings(clip_s=5.0))) is WorkKind.EVERYTHING
    assert kind(of(), None) is WorkKind.EVERYTHING
    for step in ("samples", "layout", "shots"):
        older = Recipe.parse(
            json.dumps(
                {
                    **json.loads(BEFORE.text),
                    "filters": {**BEFORE.filters, step: BEFORE.filters[step] - 1},
                }
            )
        )
        assert kind(of(), older) is WorkKind.EVERYTHING, step
    monkeypatch.setattr(recipe, "RECIPE_VERSION", recipe.RECIPE_VERSION + 1)
    assert kind(of()) is WorkKind.EVERYTHING


def test_what_does_not_shape_decisions_leaves_nothing_to_do() -> None:
    same = of(
        fetch=FetchSettings(attempts=9),
        chunk_size=5,
        run_id="x",
        learned=LearnedSettings(scorers=("lpips",)),
    )
    assert (kind(same), same.digest) == (WorkKind.NOTHING, BEFORE.digest)


def save_weights(folder: Path, content: str) -> LearnedSettings:
    for file in scorer_class("lpips").files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(content)
    return LearnedSettings(scorers=("lpips",), weights=str(folder))


def test_other_weights_make_their_scorer_measure_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = FilterPolicy(learned=LearnedThresholds(lpips_between=0.002))
    with pytest.raises(
        InvalidInput,
        match=r"lpips/vgg16.safetensors is missing in .*, but a threshold is set for what the scorer lpips measures",
    ):
        of(strict, learned=LearnedSettings(weights=str(tmp_path)))
    first = of(strict, learned=save_weights(tmp_path, "first"))
    assert kind(first) is WorkKind.DECIDE, "rows say which networks measured them"
    elsewhere = of(strict, learned=save_weights(tmp_path / "elsewhere", "first"))
    assert (kind(elsewhere, first), elsewhere.digest) == (WorkKind.NOTHING, first.digest)
    other = of(strict, learned=save_weights(tmp_path, "second"))
    assert (kind(other, first), other.work(first).filters) == (WorkKind.SCORE, {"lpips"})
    laxer = of(
        FilterPolicy(learned=LearnedThresholds(lpips_between=0.001)),
        learned=save_weights(tmp_path, "first"),
    )
    assert kind(laxer, first) is WorkKind.DECIDE
    assert kind(BEFORE, first) is WorkKind.DECIDE
    monkeypatch.setattr(scorer_class("lpips"), "version", 2)
    assert of(strict, learned=save_weights(tmp_path, "first")).work(first).filters == {"lpips"}


def test_a_stored_recipe_is_read_again(tmp_path: Path) -> None:
    own = of(FilterPolicy(variance=400.0, convert=()), clip=ClipSettings(height=64))
    store = Store.of(tmp_path)
    store_recipe(store, own)
    back = stored_recipe(store, own.digest)
    assert back == own
    assert back.digest == own.digest
    assert stored_recipe(store, "0" * 16) is None
    assert DatasetView(tmp_path).policies() == {own.digest: own.policy}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"version": 2}',
        json.dumps({**json.loads(BEFORE.text), "clip": {"height": "?"}}),
    ],
)
def test_what_is_no_recipe_is_not_known(tmp_path: Path, text: str) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "0.json").write_text(text)
    assert stored_recipe(Store.of(tmp_path), "0") is None


def test_a_recipe_of_an_earlier_version_is_read_as_far_as_it_goes() -> None:
    """It has a setting that was dropped since, lacks one that came since, and the versions of samples and layout."""
    parts = json.loads(BEFORE.text)
    parts["policy"] = {
        **{name: value for name, value in parts["policy"].items() if name != "variance"},
        "gone": 1,
    }
    parts["filters"] = {
        name: version
        for name, version in parts["filters"].items()
        if name not in {"samples", "layout"}
    }
    old = Recipe.parse(json.dumps(parts))
    assert old.policy == FilterPolicy()
    assert (old.filters["samples"], old.filters["layout"]) == (1, 1)
