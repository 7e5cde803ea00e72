"""Recipes and rows that earlier versions stored, for tests that are not about what was measured."""

import json
from dataclasses import replace
from pathlib import Path

from argus.curate import Recipe
from argus.dataset import CuratedClip, Score, SourceRow

_RENAMED = {
    ("variance", "least_variance"): "second_largest_variance",
    ("motion", "second_largest_share"): "largest_share",
}


def pin_versions(recipe: Recipe, dataset: Path) -> Recipe:
    """Return the recipe with the versions of filters and steps under which a dataset was written."""
    stored = json.loads(next((dataset / "recipes").glob("*.json")).read_text())
    versions = stored["filters"] if "policy" in stored else stored["filter_versions"]
    return replace(recipe, version=stored["version"], filter_versions=versions)


def add_current_scores(row: SourceRow) -> SourceRow:
    """Return the row as if the filters of today had measured it, with scores that pass."""
    variance = Score("variance", "median_variance", 5000.0)

    def measure(clip: CuratedClip) -> CuratedClip:
        return replace(clip, scores=(clip.scores[0], variance, *clip.scores[1:]))

    scores = (
        replace(score, name=_RENAMED.get((score.filter, score.name), score.name))
        for score in row.scores
    )
    changes = (Score("layout", "changes_left_right", 1.0),) if row.scores else ()
    return replace(row, scores=(*changes, *scores), clips=tuple(map(measure, row.clips)))
