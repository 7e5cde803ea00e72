"""Protocol and registry of learned scorers, which of them can run, and running them.

Scorers fail closed: if one raises, nothing is decided about the video.
"""

import hashlib
import importlib
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar, Protocol, Self

from argus.curate.filters import ScorerFailed, ScoreTable
from argus.curate.scorers.clip_samples import ClipSamples
from argus.errors import InvalidInput
from argus.networks import WeightFile, describe_lack, verified_digest
from schemas.config import LearnedSettings


class Scorer(Protocol):
    """Network that scores a clip.

    Its module may import torch at its top, but optional packages only in `load`.

    Attributes:
        name: name under which scores are stored.
        version: increases when the same weights would give other scores.
        score_names: names of the scores that `score` returns.
        required_package: (module, how to install it) of the package that `load` needs, if any.
        weight_files: its files in the manifest of weights.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    score_names: ClassVar[tuple[str, ...]]
    required_package: ClassVar[tuple[str, str] | None]
    weight_files: ClassVar[tuple[WeightFile, ...]]

    @classmethod
    def load(cls, weights: Path, device: str) -> Self:
        """Load the network from the folder of weights to a device ("cpu" or "cuda").

        `load_scorers` has verified its files.

        Raises:
            InvalidInput: a file does not fit.
        """
        ...

    def score(self, clip: ClipSamples) -> dict[str, float]:
        """Return the finite scores named in `score_names`."""
        ...


REGISTRY = {
    "lpips": "argus.curate.scorers.lpips:LpipsScorer",
    "raft": "argus.curate.scorers.raft:RaftScorer",
    "transnetv2": "argus.curate.scorers.transnetv2:TransNetScorer",
    "aesthetic": "argus.curate.scorers.aesthetic:AestheticScorer",
    "text_ocr": "argus.curate.scorers.text_ocr:TextScorer",
}
"""Module and class by name, imported on demand."""


def scorer_class(name: str) -> type[Scorer]:
    """Return the class of a scorer.

    Raises:
        InvalidInput: the name is unknown.
    """
    if name not in REGISTRY:
        raise InvalidInput(f"unknown learned scorer {name!r}; choose from {', '.join(REGISTRY)}")
    module, _, attribute = REGISTRY[name].partition(":")
    scorer: type[Scorer] = getattr(importlib.import_module(module), attribute)
    return scorer


def find_scorers(names: Iterable[str], weights: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    """Find out which scorers can run, without loading any.

    Args:
        names: requested scorers.
        weights: folder of weights.

    Returns:
        Names of those that can run, and what each of the others lacks, as a clause.

    Raises:
        InvalidInput: a name is unknown.
    """
    missing_parts = {name: _find_missing(scorer_class(name), weights) for name in names}
    ready = tuple(name for name, missing in missing_parts.items() if not missing)
    return ready, {name: missing for name, missing in missing_parts.items() if missing}


def weights_folder(settings: LearnedSettings, home: str) -> Path:
    """Return the folder of weights: the setting, or `weights` in ARGUS_HOME."""
    return Path(settings.weights or Path(home) / "weights").absolute()


def scorer_key(name: str, weights: Path) -> str:
    """Return the identity of a scorer's results, which is part of a recipe.

    Returns:
        `name:version:` and 16 hexadecimal digits of the SHA-256 of its weights.

    Raises:
        InvalidInput: a file is missing, damaged, or neither pinned nor accepted.
    """
    scorer = scorer_class(name)
    digest = hashlib.sha256()
    for file in scorer.weight_files:
        digest.update(verified_digest(weights, file).encode())
    return f"{name}:{scorer.version}:{digest.hexdigest()[:16]}"


def load_scorers(
    names: Iterable[str], weights: Path, device: str, *, keys: Iterable[str] = ()
) -> tuple[Scorer, ...]:
    """Verify the weights of scorers and load them.

    Args:
        names: the scorers.
        weights: folder of weights.
        device: "cpu" or "cuda".
        keys: `scorer_key` of each scorer on the machine that planned the run, if that may be
            another one: a decision does not depend on what a machine has.

    Raises:
        InvalidInput: weights are missing, damaged or others than the planned ones, or do not fit.
    """
    names = tuple(names)
    own = tuple(scorer_key(name, weights) for name in names)
    for name, key, planned in zip(names, own, keys, strict=False):
        if key != planned:
            raise InvalidInput(
                f"the scorer {name} is {key} on this machine, but the run was planned with "
                f"{planned}; bring the same version and weights to {weights}"
            )
    return tuple(scorer_class(name).load(weights, device) for name in names)


def score_clip(clip: ClipSamples, scorers: Sequence[Scorer]) -> ScoreTable:
    """Return the scores of a clip by scorer and name.

    Raises:
        ScorerFailed: a scorer raised, or returned a non-finite score or unexpected names.
    """
    return {scorer.name: _run_scorer(clip, scorer) for scorer in scorers}


def _run_scorer(clip: ClipSamples, scorer: Scorer) -> dict[str, float]:
    failed = f"the scorer {scorer.name} failed, so nothing is decided"
    try:
        scores = scorer.score(clip)
    except Exception as error:
        raise ScorerFailed(f"{failed}: {type(error).__name__}: {error}") from error
    if set(scores) != set(scorer.score_names):
        raise ScorerFailed(
            f"{failed}: it returned {sorted(scores)} instead of {sorted(scorer.score_names)}"
        )
    for name, value in scores.items():
        if not math.isfinite(value):
            raise ScorerFailed(f"{failed}: its score {name} is {value}, but must be finite")
    return scores


def _find_missing(scorer: type[Scorer], weights: Path) -> str:
    """Return what a scorer lacks, as a clause; empty if it lacks nothing."""
    if lacks := [lack for file in scorer.weight_files if (lack := describe_lack(weights, file))]:
        return "; ".join(lacks)
    if scorer.required_package:
        module, install = scorer.required_package
        try:
            importlib.import_module(module)
        except ModuleNotFoundError:
            return f"the package {module} is not installed: {install}"
        except Exception as error:  # noqa: BLE001  a package built for another torch fails anyhow
            return f"the package {module} is installed but cannot be imported: {error}"
    return ""
