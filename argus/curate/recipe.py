"""Everything that shapes a clip's bytes or its decision, under one digest; and what a change of it leaves to be done.

A recipe has three kinds of parts. Shaping ones say which frames are looked at and stored: where one differs, nothing measured before counts. Keys of
filters say how a number comes about: where one differs, that filter measures again. Thresholds only decide about stored numbers.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Self

from argus.curate.filters.base import clip_filters, video_filters
from argus.curate.shot_detection import VERSION as SHOTS_VERSION
from argus.dataset.store import Store
from schemas.config import ClipSettings, CurateConfig, FilterPolicy, LearnedThresholds

RECIPE_VERSION = 2
"""Grows when the same settings would make other clips or other decisions."""

SAMPLES_VERSION = 2
"""Grows when other frames of the same video would be judged."""

LAYOUT_VERSION = 2
"""Grows when the same frames would give other numbers about the layout, or another conversion."""

SCORED_WITH = {"black_level": ("black", "caps")}
"""The fields of `FilterPolicy` that filters read while they score, each with the names of these filters."""

THRESHOLDS = frozenset(
    {
        *(
            "seam_ratio",
            "seam_value",
            "black_share",
            "variance",
            "static_difference",
            "moving_share",
            "shot_boundary",
            "text_share",
            "cap_share",
        ),
        *(
            "sharpness",
            "dark_share",
            "bright_share",
            "nadir_share",
            "tilt_deg",
            "tilt_support",
            "high_quality",
            "duplicates",
            "learned",
        ),
        *(
            "halves_similarity",
            "layout_evidence",
            "torn_edges",
            "blank_sides",
            "disc_evidence",
            "convert",
            "fisheye_fov_deg",
        ),
    }
)
"""The fields that only decide about stored numbers; `argus.curate.reevaluate` says of which videos these do not suffice. Any other field is shaping."""

_STEPS = {"samples": SAMPLES_VERSION, "layout": LAYOUT_VERSION, "shots": SHOTS_VERSION}


class WorkKind(StrEnum):
    """How much of a video's judgement is to be done again."""

    NOTHING = "nothing"
    DECIDE = "decide"  # from stored numbers, as far as they go
    SCORE = "score"  # some filters measure again, the others' numbers stand
    EVERYTHING = "everything"


@dataclass(frozen=True)
class Work:
    """What a recipe leaves to be done about videos that were decided under another one."""

    kind: WorkKind
    filters: frozenset[str] = frozenset()  # that measure again, where it is SCORE


@dataclass(frozen=True)
class Recipe:
    """The settings and versions under which videos are judged."""

    version: int
    clip: ClipSettings
    policy: FilterPolicy
    filters: Mapping[
        str, int
    ]  # versions by name, those of "samples", "layout" and "shots" among them
    learned: Mapping[
        str, str
    ]  # of each learned scorer that a threshold is set for: its version and weights (`scorer_key`)

    @classmethod
    def of(cls, config: CurateConfig) -> Self:
        """The recipe of a refresh. Raises InvalidInput where a threshold is set for a learned scorer whose weights are not there."""
        learned: dict[str, str] = {}
        if config.policy.learned != LearnedThresholds():
            from argus.curate.scorers import demanded, scorer_key, weights_folder

            weights = weights_folder(config.learned, config.home)
            learned = {name: scorer_key(name, weights) for name in demanded(config.policy.learned)}
        versions = {
            one.name: one.version for one in (*video_filters(config.policy), *clip_filters())
        }
        return cls(RECIPE_VERSION, config.clip, config.policy, versions | _STEPS, learned)

    @classmethod
    def parse(cls, text: str) -> Self:
        """From what `text` gave, by this version or an earlier one. Raises ValueError where it cannot be read any more."""
        parts: dict[str, Any] = json.loads(text)
        try:
            policy = {
                name: value
                for name, value in parts["policy"].items()
                if name in FilterPolicy.model_fields
            }
            return cls(
                int(parts["version"]),
                ClipSettings.model_validate(parts["clip"]),
                FilterPolicy.model_validate(policy),
                {"samples": 1, "layout": 1, **parts["filters"]},  # which were not written at first
                {name: str(key) for name, key in parts.get("learned", {}).items()},
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"this is no recipe: {error}") from error

    @cached_property
    def text(self) -> str:
        """All of it as JSON, which the digest is of."""
        parts: dict[str, object] = {
            "version": self.version,
            "clip": self.clip.model_dump(mode="json"),
            "policy": self.policy.model_dump(mode="json"),
            "filters": dict(self.filters),
        }
        return json.dumps(
            parts | ({"learned": dict(self.learned)} if self.learned else {}), sort_keys=True
        )

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits; not of how and where videos are fetched or judged."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    def work(self, before: "Recipe | None") -> Work:
        """What is to be done about videos that were decided under `before`; None where that is not known."""
        if before is None or self._shape() != before._shape():
            return Work(WorkKind.EVERYTHING)
        own, old = self._keys(), before._keys()
        changed = {name for name, key in own.items() if old.get(name) != key}
        changed |= {
            name for name, key in self.learned.items() if before.learned.get(name, key) != key
        }
        if changed:
            return Work(WorkKind.SCORE, frozenset(changed))
        same = self.policy == before.policy and own == old and self.learned == before.learned
        return Work(WorkKind.NOTHING if same else WorkKind.DECIDE)

    def _shape(self) -> tuple[object, ...]:
        policy = {
            name: value
            for name, value in self.policy
            if name not in THRESHOLDS and name not in SCORED_WITH
        }
        return self.version, self.clip, policy, {name: self.filters[name] for name in _STEPS}

    def _keys(self) -> dict[str, tuple[object, ...]]:
        """Of each filter, all that its numbers depend on besides the samples."""
        read = {
            name: [
                getattr(self.policy, field) for field, names in SCORED_WITH.items() if name in names
            ]
            for name in self.filters
        }
        return {
            name: (version, *read[name])
            for name, version in self.filters.items()
            if name not in _STEPS
        }


def recipe_digest(config: CurateConfig) -> str:
    """The digest of a configuration's recipe."""
    return Recipe.of(config).digest


def store_recipe(dataset: Store, recipe: Recipe) -> None:
    """Writes `recipes/DIGEST.json` in a dataset, where it is not yet: with which settings and thresholds it was decided."""
    name = f"recipes/{recipe.digest}.json"
    if not dataset.exists(name):
        dataset.write(name, recipe.text.encode())


def stored_recipe(dataset: Store, digest: str) -> Recipe | None:
    """A recipe that a dataset stores; None where it is not there or cannot be read any more."""
    try:
        return Recipe.parse(dataset.read(f"recipes/{digest}.json").decode())
    except (FileNotFoundError, ValueError):
        return None
