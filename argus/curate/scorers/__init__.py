"""Learned scorers: networks that score kept clips as the last stage of filtering. All are optional.

`find_scorers` says which requested scorers can run and what the others lack; `check_thresholds`
refuses a threshold whose scorer cannot run. `ClipSamples` carry a clip from the process that
decoded it to the one that holds the networks (`load_scorers`, `score_clip`);
`apply_learned_thresholds` decides. Importing this package imports neither a network nor torch.

The files of each network are listed in `argus.networks.NETWORKS`; their folder is the setting
`learned.weights`, by default `weights` in ARGUS_HOME.
"""

from argus.curate.filters import ScoreTable
from argus.curate.scorers.base import (
    REGISTRY,
    Scorer,
    find_scorers,
    load_scorers,
    score_clip,
    scorer_class,
    scorer_key,
    weights_folder,
)
from argus.curate.scorers.clip_samples import ClipSamples, clip_samples_filename, make_strip
from argus.curate.scorers.pool import LocalScorerPool, ScorerPlan, ScorerPool, plan_scorers
from argus.curate.scorers.thresholds import (
    apply_learned_thresholds,
    blank_scores,
    check_thresholds,
    decide_by_scorers,
    mark_scorer_failed,
    required_scorers,
)

__all__ = [
    "REGISTRY",
    "ClipSamples",
    "LocalScorerPool",
    "ScoreTable",
    "Scorer",
    "ScorerPlan",
    "ScorerPool",
    "apply_learned_thresholds",
    "blank_scores",
    "check_thresholds",
    "clip_samples_filename",
    "decide_by_scorers",
    "find_scorers",
    "load_scorers",
    "make_strip",
    "mark_scorer_failed",
    "plan_scorers",
    "required_scorers",
    "score_clip",
    "scorer_class",
    "scorer_key",
    "weights_folder",
]
