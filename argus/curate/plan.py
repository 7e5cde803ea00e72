"""The plan of a refresh: which videos of a catalogue still need work under the current recipe."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from argus.curate.failures import FAILURE_SETTINGS, AccessSettings
from argus.curate.recipe import Recipe, Work, WorkKind, load_recipe
from argus.curate.records import VideoSource
from argus.curate.sources import read_catalogue
from argus.curate.splits import SplitChanges, find_split_changes
from argus.dataset import Dataset, is_retryable_failure
from schemas.config import CurateConfig
from schemas.names import Decision, Reason

_EVERYTHING = Work(WorkKind.EVERYTHING)
_NOTHING = Work(WorkKind.NOTHING)
_EXTENT = {kind: extent for extent, kind in enumerate(WorkKind)}
_MAX_REASONS = 3  # that the sentence of a plan names


@dataclass(frozen=True)
class RetryRules:
    """Which final decisions a refresh makes again.

    Attributes:
        access: settings that failures depend on; with laxer ones they are tried again.
        reasons: failed and dropped videos to try again; "all" are the failed ones.
        run_id: what this run has tried again is not tried once more.
    """

    access: AccessSettings | None = None
    reasons: Collection[Reason | Literal["all"]] = ()
    run_id: str = ""

    @classmethod
    def of(cls, config: CurateConfig) -> "RetryRules":
        """Return the rules of a configuration.

        Raises:
            InvalidInput: a file of secrets cannot be used.
        """
        return cls(AccessSettings.read(config.fetch), config.retry, config.run_id or "")


@dataclass(frozen=True)
class RefreshPlan:
    """The videos of a catalogue in its order, and the work for those that are not resolved.

    Attributes:
        sources: the videos.
        work: by source id, in the order of the catalogue.
        replaced: sequences, by source id, of the final rows that are made again.
        failures: number of resolved videos that failed, by reason.
        splits: changes of the splits of resolved videos.
        empty_entries: entries of the catalogue that were skipped.
    """

    sources: tuple[VideoSource, ...]
    work: dict[str, Work]
    replaced: Mapping[str, int] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)
    splits: SplitChanges = field(default_factory=SplitChanges)
    empty_entries: int = 0

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
        failed = f", of which {describe_reasons(self.failures)}" if self.failures else ""
        parts = {
            f"known{failed}": self.known,
            "to decide again from stored scores": kinds[WorkKind.DECIDE],
            "to measure again by some filters": kinds[WorkKind.SCORE],
            "to fetch and process": kinds[WorkKind.EVERYTHING],
            "to get another split": len(self.splits.splits),
            "to keep the split of the video that they duplicate": self.splits.following,
            "empty entries to skip": self.empty_entries,
        }
        shown = ", ".join(f"{count} {part}" for part, count in parts.items() if count)
        return f"{len(self.sources)} video{'s' * (len(self.sources) != 1)}: {shown}"


def describe_reasons(failures: Mapping[str, int]) -> str:
    """Return such as "3 failed (not_found 2, private 1)", the most frequent reasons first."""
    most = Counter(failures).most_common(_MAX_REASONS)
    shown = ", ".join(f"{reason} {count}" for reason, count in most)
    return f"{sum(failures.values())} failed ({shown}{', …' * (len(failures) > len(most))})"


def preview_refresh(config: CurateConfig) -> RefreshPlan:
    """Plan a refresh of a configuration; fetch and write nothing.

    Raises:
        InvalidInput: the catalogue or a file of secrets cannot be read.
    """
    catalogue = read_catalogue(Path(config.catalogue))
    return plan_refresh(
        catalogue.sources,
        Dataset(config.dataset),
        Recipe.from_config(config),
        RetryRules.of(config),
        catalogue.empty_entries,
    )


def plan_refresh(
    sources: Sequence[VideoSource],
    dataset: Dataset,
    recipe: Recipe,
    rules: RetryRules | None = None,
    empty_entries: int = 0,
) -> RefreshPlan:
    """Compare a catalogue with the decisions of a dataset.

    A retryable failure is tried again; a decision under another recipe is made again as far as the
    recipes differ.

    Args:
        sources: the catalogue.
        dataset: the dataset.
        recipe: the recipe of the refresh.
        rules: which final decisions are made again; none by default.
        empty_entries: of the catalogue, for the plan's sentence.
    """
    known = dataset.read_decisions()
    positions, works = _find_works(sources, known, dataset, recipe)
    again = _find_retries(sources, known, dataset, rules or RetryRules())
    work: dict[str, Work] = {}
    resolved = np.zeros(len(sources), bool)
    for number, source in enumerate(sources):
        one = works[number]
        if source.source_id in again:
            one = max(one, again[source.source_id][0], key=lambda each: _EXTENT[each.kind])
        if one.kind is not WorkKind.NOTHING:
            work[source.source_id] = one
        resolved[number] = one.kind is WorkKind.NOTHING
    rows = known.take(pa.array(positions[resolved]))
    failed = rows.filter(pc.equal(rows["decision"], str(Decision.FAILED)))
    return RefreshPlan(
        tuple(sources),
        work,
        {source_id: sequence for source_id, (_, sequence) in again.items()},
        {count["values"]: count["counts"] for count in failed["reason"].value_counts().to_pylist()},
        find_split_changes(dataset, (source for source in sources if source.source_id not in work)),
        empty_entries,
    )


def _find_works(
    sources: Sequence[VideoSource], known: pa.Table, dataset: Dataset, recipe: Recipe
) -> tuple[npt.NDArray[np.int64], list[Work]]:
    """Return the row (-1 if there is none) and the work of each source by its recipe alone.

    No column becomes a list of strings: a million of each take too much memory.
    """
    ids = pa.array([source.source_id for source in sources], pa.string())
    found = pc.index_in(ids, known["source_id"].combine_chunks())
    positions = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    recipes = known["recipe"].combine_chunks().dictionary_encode()
    works = [
        recipe.compare(load_recipe(dataset.store, digest))
        for digest in recipes.dictionary.to_pylist()
    ]
    numbers = recipes.indices.to_numpy().astype(np.int64)
    numbers[is_retryable_failure(known).to_numpy()] = -1
    is_forgotten = pc.fill_null(pc.equal(known["reason"], str(Reason.FORGOTTEN)), False)
    numbers[is_forgotten.to_numpy()] = -2
    numbers = np.append(numbers, -1)[positions]
    every = [*works, _NOTHING, _EVERYTHING]
    return positions, [every[number] for number in numbers.tolist()]


def _find_retries(
    sources: Sequence[VideoSource], known: pa.Table, dataset: Dataset, rules: RetryRules
) -> dict[str, tuple[Work, int]]:
    """Return the work, and the sequence of the row, of the final decisions to be made again."""
    rows = known.filter(pc.invert(is_retryable_failure(known)))
    found = {}
    if rules.access:
        reasons = pa.array([str(reason) for reason in FAILURE_SETTINGS])
        depends = pc.or_(pc.is_valid(rows["failure_settings"]), pc.is_in(rows["reason"], reasons))
        states = {row["source_id"]: row for row in rows.filter(depends).to_pylist()}
        for source in sources if states else ():
            row = states.get(source.source_id)
            if row and rules.access.may_help(row["reason"], row["failure_settings"], source.url):
                found[source.source_id] = _choose_work(row), row["sequence"]
    asked = _select_asked(rows, dataset, rules) if rules.reasons else rows.slice(0, 0)
    for source_id, sequence in zip(
        asked["source_id"].to_pylist(), asked["sequence"].to_pylist(), strict=True
    ):
        found[source_id] = _EVERYTHING, sequence
    return found


def _choose_work(row: Mapping[str, Any]) -> Work:
    """Return the work for a row with a failure that may be gone.

    Nothing was measured of a video that failed or is too long. Another one only lost clips.
    """
    if row["decision"] == Decision.FAILED or row["reason"] == Reason.TOO_LONG:
        return _EVERYTHING
    return Work(WorkKind.DECIDE)


def _select_asked(rows: pa.Table, dataset: Dataset, rules: RetryRules) -> pa.Table:
    """Return those of some final rows that a person wants to be tried again, once in a run."""
    is_failed = pc.equal(rows["decision"], str(Decision.FAILED))
    wanted = pa.array([str(reason) for reason in rules.reasons])
    mask = pc.fill_null(pc.is_in(rows["reason"], wanted), False)
    if "all" in rules.reasons:
        mask = pc.or_(mask, is_failed)
    mask = pc.and_(mask, pc.not_equal(rows["decision"], str(Decision.KEPT)))
    mask = pc.and_(mask, pc.not_equal(rows["reason"], str(Reason.FORGOTTEN)))
    asked = rows.filter(mask)
    if not rules.run_id or not len(asked):
        return asked
    latest = dataset.read_latest_after(0, ["run_id"])
    done = latest.filter(pc.equal(latest["run_id"], rules.run_id))["source_id"].combine_chunks()
    return asked.filter(pc.invert(pc.is_in(asked["source_id"], done)))


def pending_chunks(plan: RefreshPlan, size: int) -> list[list[VideoSource]]:
    """Split a catalogue into fixed slices, and keep of each the videos that need work.

    The slices depend on the catalogue alone, so that an interrupted refresh commits the same chunks
    when it continues. Empty chunks are left out.
    """
    slices = (plan.sources[start : start + size] for start in range(0, len(plan.sources), size))
    chunks = ([source for source in part if source.source_id in plan.work] for part in slices)
    return [chunk for chunk in chunks if chunk]
