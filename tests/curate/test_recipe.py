"""Comparison of recipes, and stored recipes."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from argus.curate import Recipe, WorkKind, load_recipe, recipe, store_recipe
from argus.curate.filters.blur import BlurFilter
from argus.curate.filters.text import TextFilter
from argus.curate.scorers import scorer_class
from argus.curate.thresholds import DECISION_SETTINGS, SCORING_SETTINGS
from argus.dataset import DatasetView, Store
from argus.errors import InvalidInput
from argus.networks import NETWORKS, accept_weights
from schemas.config import (
    ClipSettings,
    CurateConfig,
    FetchSettings,
    FilterSettings,
    HighQuality,
    LearnedSettings,
    LearnedThresholds,
)


def of(policy: FilterSettings | None = None, **settings: Any) -> Recipe:
    return Recipe.from_config(
        CurateConfig(catalogue="none", filters=policy or FilterSettings(), **settings)
    )


BEFORE = of()


def kind(now: Recipe, before: Recipe | None = BEFORE) -> WorkKind:
    return now.compare(before).kind


def test_every_filter_setting_is_classified() -> None:
    """An unclassified setting would repeat everything: add it to `argus.curate.thresholds`."""
    assert set(FilterSettings.model_fields) == DECISION_SETTINGS | set(SCORING_SETTINGS)
    assert not DECISION_SETTINGS & set(SCORING_SETTINGS)


def moved(name: str) -> FilterSettings:
    value = getattr(FilterSettings(), name)
    others = {
        "duplicates": "keep",
        "convert": (),
        "high_quality": HighQuality(quality=0.9),
        "black_level": 9,
    }
    return FilterSettings(
        **{
            name: others.get(
                name, value if name in others or not isinstance(value, float) else value * 0.99
            )
        }
    )


@pytest.mark.parametrize("name", sorted(DECISION_SETTINGS - {"learned"}))
def test_a_changed_threshold_is_reevaluated(name: str) -> None:
    assert kind(of(moved(name))) is WorkKind.DECIDE
    assert of(moved(name)).digest != BEFORE.digest


def test_a_setting_that_filters_read_makes_them_measure_again() -> None:
    work = of(moved("black_level")).compare(BEFORE)
    assert (work.kind, work.filters) == (WorkKind.SCORE, {"black", "caps"})


def test_changed_and_new_filters_measure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(BlurFilter, "version", BlurFilter.version + 1)
    assert of().compare(BEFORE).filters == {"blur"}
    both = of(moved("black_level")).compare(BEFORE)
    assert (both.kind, both.filters) == (WorkKind.SCORE, {"blur", "black", "caps"})
    monkeypatch.setattr(TextFilter, "name", "lettering")
    assert of().compare(BEFORE).filters == {"blur", "lettering"}


def test_a_shaping_part_repeats_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert kind(of(clip=ClipSettings(clip_s=5.0))) is WorkKind.EVERYTHING
    assert kind(of(), None) is WorkKind.EVERYTHING
    for step in ("samples", "layout", "shots"):
        older = Recipe.from_json(
            json.dumps(
                {
                    **json.loads(BEFORE.to_json()),
                    "filter_versions": {
                        **BEFORE.filter_versions,
                        step: BEFORE.filter_versions[step] - 1,
                    },
                }
            )
        )
        assert kind(of(), older) is WorkKind.EVERYTHING, step
    monkeypatch.setattr(recipe, "RECIPE_VERSION", recipe.RECIPE_VERSION + 1)
    assert kind(of()) is WorkKind.EVERYTHING


def test_a_setting_outside_the_recipe_repeats_nothing() -> None:
    same = of(
        fetch=FetchSettings(attempts=9),
        chunk_size=5,
        run_id="x",
        learned=LearnedSettings(scorers=("lpips",)),
    )
    assert (kind(same), same.digest) == (WorkKind.NOTHING, BEFORE.digest)


def save_weights(folder: Path, content: str) -> LearnedSettings:
    for file in NETWORKS["lpips"].files:
        (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
        (folder / file.path).write_text(content)
    accept_weights(folder, NETWORKS["lpips"].files)
    return LearnedSettings(scorers=("lpips",), weights=str(folder))


def test_other_weights_make_their_scorer_measure_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = FilterSettings(learned=LearnedThresholds(lpips_between=0.002))
    with pytest.raises(InvalidInput, match=r"lpips/vgg16\.safetensors"):
        of(strict, learned=LearnedSettings(weights=str(tmp_path)))
    first = of(strict, learned=save_weights(tmp_path, "first"))
    assert kind(first) is WorkKind.DECIDE, "rows say which networks measured them"
    elsewhere = of(strict, learned=save_weights(tmp_path / "elsewhere", "first"))
    assert (kind(elsewhere, first), elsewhere.digest) == (WorkKind.NOTHING, first.digest)
    other = of(strict, learned=save_weights(tmp_path, "second"))
    assert (kind(other, first), other.compare(first).filters) == (WorkKind.SCORE, {"lpips"})
    laxer = of(
        FilterSettings(learned=LearnedThresholds(lpips_between=0.001)),
        learned=save_weights(tmp_path, "first"),
    )
    assert kind(laxer, first) is WorkKind.DECIDE
    assert kind(BEFORE, first) is WorkKind.DECIDE
    monkeypatch.setattr(scorer_class("lpips"), "version", 2)
    assert of(strict, learned=save_weights(tmp_path, "first")).compare(first).filters == {"lpips"}


def test_a_stored_recipe_is_read_again(tmp_path: Path) -> None:
    own = of(FilterSettings(variance=400.0, convert=()), clip=ClipSettings(height=64))
    store = Store.of(tmp_path)
    store_recipe(store, own)
    back = load_recipe(store, own.digest)
    assert back == own
    assert back.digest == own.digest
    assert load_recipe(store, "0" * 16) is None
    assert DatasetView(tmp_path).read_filter_settings() == {own.digest: own.filters}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"version": 2}',
        json.dumps({**json.loads(BEFORE.to_json()), "clip": {"height": "?"}}),
    ],
)
def test_a_text_that_is_not_a_recipe_is_unknown(tmp_path: Path, text: str) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "0.json").write_text(text)
    assert load_recipe(Store.of(tmp_path), "0") is None


def test_a_recipe_of_version_1_keeps_its_digest_and_is_equal() -> None:
    """Version 1 named the groups otherwise, and at first did not write two of the versions."""
    parts = json.loads(BEFORE.to_json())
    old = {
        "version": parts["version"],
        "clip": parts["clip"],
        "policy": {**parts["filters"]},
        "filters": parts["filter_versions"],
    }
    for added in ("repeated_share", "changes_similarity"):
        del old["policy"][added]
    learned = old["policy"]["learned"]
    learned["text_db_share"] = learned.pop("text_ocr_overlay_share")  # replaced since
    text = json.dumps(old, sort_keys=True)
    assert Recipe.from_json(text) == BEFORE
    assert BEFORE.digest == hashlib.sha256(text.encode()).hexdigest()[:16]
    del old["policy"]["variance"], old["filters"]["samples"], old["filters"]["layout"]
    oldest = Recipe.from_json(json.dumps(old))
    assert oldest.filters == FilterSettings()
    assert (oldest.filter_versions["samples"], oldest.filter_versions["layout"]) == (1, 1)
    other = of(FilterSettings(repeated_share=0.2))
    assert other.digest != BEFORE.digest
    assert kind(other) is WorkKind.DECIDE


@pytest.mark.parametrize(
    "group", ["clip", "filters", "filters.high_quality", "filters.learned", None]
)
def test_an_unknown_name_in_a_stored_recipe_is_refused(tmp_path: Path, group: str | None) -> None:
    changed = parts = json.loads(BEFORE.to_json())
    for key in group.split(".") if group else ():
        changed = changed[key]
    changed["sparkle"] = 1
    (tmp_path / "recipes").mkdir()
    path = tmp_path / "recipes" / "0.json"
    path.write_text(json.dumps(parts))
    name = f"{group}.sparkle" if group else "sparkle"
    with pytest.raises(InvalidInput) as refused:
        load_recipe(Store.of(tmp_path), "0")
    assert name in str(refused.value)
    assert str(path) in str(refused.value)
    if group == "filters":
        with pytest.raises(InvalidInput, match=r"filters\.sparkle"):
            DatasetView(tmp_path).read_filter_settings()
