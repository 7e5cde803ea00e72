"""Recipes: everything that shapes a clip's bytes or its decision, under one digest.

A recipe has three kinds of parts. Shaping parts determine which frames are looked at and stored: if
one differs, nothing measured before counts. The key of a filter determines its scores: if it
differs, that filter measures again. Thresholds only decide about stored scores.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Self

from argus.curate.filters import clip_filters, video_filters
from argus.curate.shot_detection import VERSION as SHOTS_VERSION
from argus.curate.thresholds import DECISION_SETTINGS, SCORING_SETTINGS
from argus.dataset import Store, migrate_recipe, spell_recipe_v1
from argus.errors import InvalidInput
from schemas.config import ClipSettings, CurateConfig, FilterSettings, LearnedThresholds

RECIPE_VERSION = 2
"""Increases when the same settings would give other clips or other decisions."""

SAMPLES_VERSION = 2
"""Increases when other frames of the same video would be measured."""

LAYOUT_VERSION = 3
"""Increases when the same frames would give other layout scores, or another conversion."""

_STEPS = {"samples": SAMPLES_VERSION, "layout": LAYOUT_VERSION, "shots": SHOTS_VERSION}


class WorkKind(StrEnum):
    """Extent to which the processing of a video has to be repeated."""

    NOTHING = "nothing"
    DECIDE = "decide"  # reevaluate stored scores, where they suffice
    SCORE = "score"  # recompute the scores of some filters
    EVERYTHING = "everything"


@dataclass(frozen=True)
class Work:
    """Work that a recipe requires for videos that were processed under another one."""

    kind: WorkKind
    filters: frozenset[str] = frozenset()  # that measure again, if the kind is SCORE


@dataclass(frozen=True)
class Recipe:
    """The settings and versions under which videos are processed.

    Attributes:
        version: `RECIPE_VERSION`.
        clip: how clips are cut and stored.
        filters: the filter settings.
        filter_versions: versions by name, including the steps "samples", "layout" and "shots".
        learned: for each learned scorer with a threshold, its version and weights (`scorer_key`).
    """

    version: int
    clip: ClipSettings
    filters: FilterSettings
    filter_versions: Mapping[str, int]
    learned: Mapping[str, str]

    @classmethod
    def from_config(cls, config: CurateConfig) -> Self:
        """Return the recipe of a refresh.

        Raises:
            InvalidInput: a threshold is set for a learned scorer whose weights are missing.
        """
        learned: dict[str, str] = {}
        if config.filters.learned != LearnedThresholds():
            from argus.curate.scorers import required_scorers, scorer_key, weights_folder

            weights = weights_folder(config.learned, config.home)
            learned = {
                name: scorer_key(name, weights) for name in required_scorers(config.filters.learned)
            }
        versions = {
            one.name: one.version for one in (*video_filters(config.filters), *clip_filters())
        }
        return cls(RECIPE_VERSION, config.clip, config.filters, versions | _STEPS, learned)

    @classmethod
    def from_json(cls, text: str, name: str = "") -> Self:
        """Return the recipe that `to_json`, or version 1, wrote.

        Args:
            text: the JSON text.
            name: of the file, for the error message.

        Raises:
            InvalidInput: it has a setting that is unknown.
            ValueError: it is not a recipe, or a value is out of range.
        """
        try:
            parts = migrate_recipe(json.loads(text), name)
            return cls(
                int(parts["version"]),
                ClipSettings.model_validate(parts["clip"]),
                FilterSettings.model_validate(parts["filters"]),
                dict(parts["filter_versions"]),
                {scorer: str(key) for scorer, key in parts.get("learned", {}).items()},
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a recipe: {error}") from error

    def to_json(self) -> str:
        """Return the recipe as JSON text."""
        return json.dumps(self._parts(), sort_keys=True)

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits; they do not depend on how and where videos are processed.

        They are taken of the names of version 1, so a renamed setting does not change them.
        """
        text = json.dumps(spell_recipe_v1(self._parts()), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def compare(self, before: "Recipe | None") -> Work:
        """Return what has to be done with videos that were processed under another recipe.

        Args:
            before: the other recipe; None if it is unknown.
        """
        if before is None or self._shaping_parts() != before._shaping_parts():
            return Work(WorkKind.EVERYTHING)
        own, old = self._filter_keys(), before._filter_keys()
        changed = {name for name, key in own.items() if old.get(name) != key}
        changed |= {
            name for name, key in self.learned.items() if before.learned.get(name, key) != key
        }
        if changed:
            return Work(WorkKind.SCORE, frozenset(changed))
        is_same = self.filters == before.filters and own == old and self.learned == before.learned
        return Work(WorkKind.NOTHING if is_same else WorkKind.DECIDE)

    def _parts(self) -> dict[str, Any]:
        parts: dict[str, Any] = {
            "version": self.version,
            "clip": self.clip.model_dump(mode="json"),
            "filters": self.filters.model_dump(mode="json"),
            "filter_versions": dict(self.filter_versions),
        }
        return parts | ({"learned": dict(self.learned)} if self.learned else {})

    def _shaping_parts(self) -> tuple[object, ...]:
        settings = {
            name: value
            for name, value in self.filters
            if name not in DECISION_SETTINGS and name not in SCORING_SETTINGS
        }
        steps = {name: self.filter_versions[name] for name in _STEPS}
        return self.version, self.clip, settings, steps

    def _filter_keys(self) -> dict[str, tuple[object, ...]]:
        """Return everything, besides the samples, that the scores of each filter depend on."""
        read = {
            name: [
                getattr(self.filters, field)
                for field, names in SCORING_SETTINGS.items()
                if name in names
            ]
            for name in self.filter_versions
        }
        return {
            name: (version, *read[name])
            for name, version in self.filter_versions.items()
            if name not in _STEPS
        }


def recipe_digest(config: CurateConfig) -> str:
    """Return the digest of a configuration's recipe."""
    return Recipe.from_config(config).digest


def store_recipe(dataset: Store, recipe: Recipe) -> None:
    """Write `recipes/DIGEST.json` in a dataset unless it exists."""
    name = f"recipes/{recipe.digest}.json"
    if not dataset.exists(name):
        dataset.write(name, recipe.to_json().encode())


def load_recipe(dataset: Store, digest: str) -> Recipe | None:
    """Return a recipe that a dataset stores; None if it is missing or out of range today.

    Raises:
        InvalidInput: it has a setting that is unknown.
    """
    name = f"recipes/{digest}.json"
    try:
        return Recipe.from_json(dataset.read(name).decode(), dataset.uri_of(name))
    except InvalidInput:
        raise
    except (FileNotFoundError, ValueError):
        return None
