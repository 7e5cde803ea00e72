"""The protocol of learned scorers, those that there are, which of them are at hand, and running them. Fails closed."""

import hashlib
import importlib
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar, Protocol, Self

from argus.curate.filters.base import ScorerFailed
from argus.curate.scorers.clip_samples import ClipSamples
from argus.errors import InvalidInput
from argus.files import sha256_file
from schemas.config import LearnedSettings

Measured = dict[str, dict[str, float]]
"""Scorer → score → value, of one clip."""


class Scorer(Protocol):
    """A network that measures a clip. Its module may import torch at its top, but what users may lack only in `load`."""

    name: ClassVar[str]
    version: ClassVar[int]  # grows when the same weights would give other numbers
    scores: ClassVar[tuple[str, ...]]  # the numbers that it gives
    package: ClassVar[tuple[str, str] | None]  # (module, how it is installed) that `load` needs
    files: ClassVar[tuple[str, ...]]  # below the folder of weights

    @classmethod
    def load(cls, weights: Path, device: str) -> Self:
        """Ready to score on `device` ("cpu", "cuda"). Raises InvalidInput where a file does not fit."""
        ...

    def score(self, clip: ClipSamples) -> dict[str, float]:
        """The finite numbers named in `scores`. Its pictures go through the network in batches."""
        ...


REGISTRY = {
    "lpips": "argus.curate.scorers.lpips:LpipsScorer",
    "raft": "argus.curate.scorers.raft:RaftScorer",
    "transnetv2": "argus.curate.scorers.transnetv2:TransNetScorer",
    "aesthetic": "argus.curate.scorers.aesthetic:AestheticScorer",
    "text_db": "argus.curate.scorers.text_db:TextScorer",
}
"""Name → module:class, imported when asked for."""


def scorer_class(name: str) -> type[Scorer]:
    """The class of a scorer. Raises InvalidInput for an unknown name."""
    if name not in REGISTRY:
        raise InvalidInput(f"there is no learned scorer {name!r}; known are {', '.join(REGISTRY)}")
    module, _, attribute = REGISTRY[name].partition(":")
    found: type[Scorer] = getattr(importlib.import_module(module), attribute)
    return found


def available(names: Iterable[str], weights: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    """Those of the names that can run here, and for each other one what it lacks, in words. Raises InvalidInput for an unknown name."""
    lacks = {name: _lack(scorer_class(name), weights) for name in names}
    return tuple(name for name, lack in lacks.items() if not lack), {
        name: lack for name, lack in lacks.items() if lack
    }


def weights_folder(settings: LearnedSettings, home: str) -> Path:
    """Where the networks' weights lie: as set, or `weights` in ARGUS_HOME."""
    return Path(settings.weights or Path(home) / "weights").absolute()


def scorer_key(name: str, weights: Path) -> str:
    """What a scorer's numbers depend on besides the clip: `name:version:` and 16 hexadecimal digits of its weights' SHA-256.

    Raises InvalidInput where weights are missing.
    """
    scorer = scorer_class(name)
    digest = hashlib.sha256()
    for file in scorer.files:
        if not (weights / file).is_file():
            raise InvalidInput(
                f"{file} is missing in {weights}, but a threshold is set for what the scorer {name} measures"
            )
        digest.update(sha256_file(weights / file).encode())
    return f"{name}:{scorer.version}:{digest.hexdigest()[:16]}"


def load_scorers(names: Iterable[str], weights: Path, device: str) -> tuple[Scorer, ...]:
    """The scorers, ready. Raises InvalidInput where weights do not fit."""
    return tuple(scorer_class(name).load(weights, device) for name in names)


def measure(clip: ClipSamples, scorers: Sequence[Scorer]) -> Measured:
    """All numbers of all scorers. Raises ScorerFailed where one raises, or gives no number, or other ones than it names."""
    return {scorer.name: _measure(clip, scorer) for scorer in scorers}


def _measure(clip: ClipSamples, scorer: Scorer) -> dict[str, float]:
    failed = f"the scorer {scorer.name} failed, so the video is not judged"
    try:
        numbers = scorer.score(clip)
    except Exception as error:
        raise ScorerFailed(f"{failed}: {type(error).__name__}: {error}") from error
    if set(numbers) != set(scorer.scores):
        raise ScorerFailed(
            f"{failed}: it gave {sorted(numbers)} instead of {sorted(scorer.scores)}"
        )
    if odd := [name for name, value in numbers.items() if not math.isfinite(value)]:
        raise ScorerFailed(f"{failed}: {odd[0]} is {numbers[odd[0]]}")
    return numbers


def _lack(scorer: type[Scorer], weights: Path) -> str:
    """What a scorer lacks, in words; empty when it lacks nothing."""
    if absent := [file for file in scorer.files if not (weights / file).is_file()]:
        return f"{', '.join(absent)} missing in {weights}"
    if scorer.package:
        module, install = scorer.package
        try:
            importlib.import_module(module)
        except ModuleNotFoundError:
            return f"the package {module} is not installed: {install}"
        except Exception as error:  # noqa: BLE001  a package built for another torch fails in its own way
            return f"the package {module} is installed but cannot be imported: {error}"
    return ""
