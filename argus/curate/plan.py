"""What a refresh has to do: what the dataset already knows of a catalogue's videos, and under which recipe."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from argus.curate import VideoSource, read_catalogue
from argus.curate.recipe import Recipe, Work, WorkKind, stored_recipe
from argus.dataset import Dataset
from schemas.config import CurateConfig
from schemas.names import Decision

_EVERYTHING = Work(WorkKind.EVERYTHING)


@dataclass(frozen=True)
class RefreshPlan:
    """The videos of a catalogue in its order, and what is to be done about those that are not settled."""

    sources: tuple[VideoSource, ...]
    work: dict[str, Work]  # by source id, in the order of the catalogue

    @property
    def known(self) -> int:
        """How many are settled."""
        return len(self.sources) - len(self.work)

    def __str__(self) -> str:
        kinds = Counter(work.kind for work in self.work.values())
        return (
            f"{len(self.sources)} videos: {self.known} known, {kinds[WorkKind.DECIDE]} to decide again from stored scores, "
            f"{kinds[WorkKind.SCORE]} to measure again by some filters, {kinds[WorkKind.EVERYTHING]} to fetch and judge"
        )


def plan(config: CurateConfig) -> RefreshPlan:
    """What a refresh of this configuration would do. Fetches and writes nothing. Raises InvalidInput for a catalogue that cannot be read."""
    return plan_refresh(
        read_catalogue(Path(config.catalogue)), Dataset(config.dataset), Recipe.of(config)
    )


def plan_refresh(sources: Sequence[VideoSource], dataset: Dataset, recipe: Recipe) -> RefreshPlan:
    """A failure that may pass is tried again; what another recipe settled is redone as far as the recipes differ."""
    known = dataset.decisions()
    works = {
        digest: recipe.work(stored_recipe(dataset.store, digest))
        for digest in known["recipe"].unique().to_pylist()
    }
    columns = (known[name].to_pylist() for name in ("source_id", "decision", "retryable", "recipe"))
    states = {
        source_id: _EVERYTHING if decision == Decision.FAILED and retryable else works[digest]
        for source_id, decision, retryable, digest in zip(*columns, strict=True)
    }
    todo = {source.source_id: states.get(source.source_id, _EVERYTHING) for source in sources}
    return RefreshPlan(
        tuple(sources),
        {source_id: work for source_id, work in todo.items() if work.kind is not WorkKind.NOTHING},
    )
