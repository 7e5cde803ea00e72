"""The plan of a refresh: which videos of a catalogue still need work under the current recipe."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from argus.curate.recipe import Recipe, Work, WorkKind, load_recipe
from argus.curate.records import VideoSource
from argus.curate.sources import read_catalogue
from argus.dataset import Dataset
from schemas.config import CurateConfig
from schemas.names import Decision

_EVERYTHING = Work(WorkKind.EVERYTHING)


@dataclass(frozen=True)
class RefreshPlan:
    """The videos of a catalogue in its order, and the work for those that are not resolved."""

    sources: tuple[VideoSource, ...]
    work: dict[str, Work]  # by source id, in the order of the catalogue

    @property
    def known(self) -> int:
        """Number of videos that are resolved."""
        return len(self.sources) - len(self.work)

    @property
    def known_ids(self) -> list[str]:
        """Ids of the videos that are resolved."""
        return [one.source_id for one in self.sources if one.source_id not in self.work]

    def has_prior(self, source_id: str) -> bool:
        """Return True if a video needs work and some of its stored scores still count."""
        return self.work.get(source_id, _EVERYTHING).kind is not WorkKind.EVERYTHING

    def __str__(self) -> str:
        """Return the plan in one sentence; kinds of work that no video needs are left out."""
        kinds = Counter(work.kind for work in self.work.values())
        parts = {
            "known": self.known,
            "to decide again from stored scores": kinds[WorkKind.DECIDE],
            "to measure again by some filters": kinds[WorkKind.SCORE],
            "to fetch and process": kinds[WorkKind.EVERYTHING],
        }
        shown = ", ".join(f"{count} {part}" for part, count in parts.items() if count)
        return f"{len(self.sources)} video{'s' * (len(self.sources) != 1)}: {shown}"


def preview_refresh(config: CurateConfig) -> RefreshPlan:
    """Plan a refresh of a configuration; fetch and write nothing.

    Raises:
        InvalidInput: the catalogue cannot be read.
    """
    sources = read_catalogue(Path(config.catalogue)).sources
    return plan_refresh(sources, Dataset(config.dataset), Recipe.from_config(config))


def plan_refresh(sources: Sequence[VideoSource], dataset: Dataset, recipe: Recipe) -> RefreshPlan:
    """Compare a catalogue with the decisions of a dataset.

    A retryable failure is tried again; a decision under another recipe is made again as far as the
    recipes differ.
    """
    known = dataset.read_decisions()
    works = {
        digest: recipe.compare(load_recipe(dataset.store, digest))
        for digest in known["recipe"].unique().to_pylist()
    }
    columns = (known[name].to_pylist() for name in ("source_id", "decision", "retryable", "recipe"))
    states = {
        source_id: _EVERYTHING if decision == Decision.FAILED and retryable else works[digest]
        for source_id, decision, retryable, digest in zip(*columns, strict=True)
    }
    work = {source.source_id: states.get(source.source_id, _EVERYTHING) for source in sources}
    return RefreshPlan(
        tuple(sources),
        {source_id: one for source_id, one in work.items() if one.kind is not WorkKind.NOTHING},
    )


def pending_chunks(plan: RefreshPlan, size: int) -> list[list[VideoSource]]:
    """Split a catalogue into fixed slices, and keep of each the videos that need work.

    The slices depend on the catalogue alone, so that an interrupted refresh commits the same chunks
    when it continues. Empty chunks are left out.
    """
    slices = (plan.sources[start : start + size] for start in range(0, len(plan.sources), size))
    chunks = ([source for source in part if source.source_id in plan.work] for part in slices)
    return [chunk for chunk in chunks if chunk]
