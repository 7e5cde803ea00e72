"""The figures of one refresh, from the rows that it committed: what became of the videos, where the time went, and what holds it up."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from schemas.names import Decision

STAGES = {"fetch": "network", "decode": "decode", "filters": "filters", "encode": "encode"}
"""The measured parts of a video's time, and what each is called here."""

PAUSE_S = 900
"""A refresh that works on nothing for longer was stopped and begun again; a shorter pause, for a site's sake, is time that it took."""

IDLE = 0.4  # with more of the workers' time unused, they wait for files
SLOWEST, TO_RETRY, PICTURED = 10, 50, 6  # how many videos are told of; the last of each reason
_ADVICE = {
    "network": "Workers wait for files, so more workers will not help. What may: more videos an hour where the site allows them (fetch.per_hour, "
    "fetch.youtube_per_hour), more addresses to come from (fetch.proxies_file), a catalogue that mixes sites.",
    "decode": "Reading frames takes the most. More CPUs help in proportion; so do files with a smaller picture or more keyframes.",
    "filters": "Measuring takes the most. More CPUs help in proportion.",
    "encode": "Writing clips takes the most. More CPUs help in proportion; so does a smaller clip.height.",
}


@dataclass(frozen=True)
class RefreshedVideo:
    """One video that a refresh decided, as its report tells of it."""

    source_id: str
    url: str
    split: str
    decision: str  # a schemas.names.Decision
    reason: str  # a schemas.names.Reason; empty when kept
    detail: str
    retryable: bool
    layout: str
    decided: datetime
    recipe: str
    code_version: str
    seconds: Mapping[str, float] = field(
        default_factory=dict
    )  # of STAGES, those that were measured
    length_s: float = 0.0  # of the whole video; 0 where it could not be read
    fetched: int = 0  # bytes
    clips: int = 0  # kept
    clips_s: float = 0.0  # their length together
    clip_reasons: tuple[str, ...] = ()  # of its other clips
    thumbnail: str | None = None  # path below the dataset's folder

    @property
    def worked_s(self) -> float:
        """The time it took, all stages together."""
        return sum(self.seconds.values())


@dataclass(frozen=True)
class Bottleneck:
    """What holds a refresh up, and what to do about it."""

    stage: str  # a value of STAGES
    advice: str
    idle: (
        float | None
    )  # share of the workers' time that went unused; None where their number is not known


@dataclass
class RefreshFigures:
    """ErrorSums over the videos of a refresh; of the videos themselves only a few are kept."""

    decisions: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(
        default_factory=Counter
    )  # (decision, reason) of videos that are not kept
    clips: int = 0  # kept
    clip_reasons: Counter[str] = field(default_factory=Counter)  # of clips that are not kept
    hours_in: float = 0.0  # of video that could be read
    hours_out: float = 0.0  # of kept clips
    fetched: int = 0  # bytes
    seconds: defaultdict[str, float] = field(
        default_factory=lambda: defaultdict(float)
    )  # by stage (a value of STAGES), all videos together
    longest_s: float = 0.0  # that one video kept a worker
    retryable: int = 0
    decided_again: int = 0  # from stored scores: nothing was fetched or decoded
    recipes: set[str] = field(default_factory=set)
    code_versions: set[str] = field(default_factory=set)
    stretches: list[tuple[float, float]] = field(
        default_factory=list
    )  # of work: begin and end, seconds since 1970
    slowest: list[RefreshedVideo] = field(default_factory=list)  # the slowest first
    to_retry: list[RefreshedVideo] = field(default_factory=list)
    pictured: dict[str, list[RefreshedVideo]] = field(
        default_factory=dict
    )  # by reason; "" are the kept ones

    def add(self, video: RefreshedVideo) -> None:
        """Counts one video."""
        self.decisions[video.decision] += 1
        if video.reason:
            self.reasons[video.decision, video.reason] += 1
        self.clips += video.clips
        self.clip_reasons.update(video.clip_reasons)
        self.hours_in += video.length_s / 3600
        self.hours_out += video.clips_s / 3600
        self.fetched += video.fetched
        for name, seconds in video.seconds.items():
            self.seconds[STAGES[name]] += seconds
        self.longest_s = max(self.longest_s, video.worked_s - video.seconds.get("fetch", 0.0))
        self.decided_again += bool(video.length_s) and not video.seconds
        self.recipes.add(video.recipe)
        self.code_versions.add(video.code_version)
        end = video.decided.timestamp()
        self.stretches.append((end - video.worked_s, end))
        self._choose(video)

    def _choose(self, video: RefreshedVideo) -> None:
        """Which videos are told of is the same whatever their order."""
        if video.seconds:
            self.slowest = sorted(
                [*self.slowest, video], key=lambda one: (-one.worked_s, one.source_id)
            )[:SLOWEST]
        if video.retryable:
            self.retryable += 1
            self.to_retry = sorted([*self.to_retry, video], key=_chance)[:TO_RETRY]
        if video.thumbnail:
            self.pictured[video.reason] = sorted(
                [*self.pictured.get(video.reason, ()), video], key=_chance
            )[:PICTURED]

    @property
    def videos(self) -> int:
        """How many were decided."""
        return sum(self.decisions.values())

    @property
    def outcomes(self) -> list[tuple[str, str, int]]:
        """(decision, reason, videos): the kept ones, whose reason is empty, then the others, the most frequent first."""
        others = sorted(self.reasons.items(), key=lambda item: (-item[1], item[0]))
        return [
            (Decision.KEPT, "", self.decisions[Decision.KEPT]),
            *((decision, reason, count) for (decision, reason), count in others),
        ]

    @property
    def worked_s(self) -> float:
        """The time during which it worked; pauses of up to `PAUSE_S` are part of it."""
        total, latest = 0.0, float("-inf")
        for begin, end in sorted(self.stretches):
            total += end - begin if begin > latest + PAUSE_S else max(0.0, end - latest)
            latest = max(latest, end)
        return total

    def per_hour(self, amount: float) -> float | None:
        """A rate over the time during which it worked; None where no time was measured."""
        return 3600 * amount / self.worked_s if self.seconds and self.worked_s else None

    def bottleneck(self, workers: float | None = None) -> Bottleneck | None:
        """What holds it up; None where nothing was measured. `workers` is how many videos are judged at once, where that is known.

        Workers that stand still wait for files, but for what one long video at the end explains. Where their number is not known, the longest
        stage is taken.
        """
        if not sum(self.seconds.values()):
            return None
        judging = {stage: seconds for stage, seconds in self.seconds.items() if stage != "network"}
        idle = None
        if workers:
            offered = workers * self.worked_s
            idle = (
                max(0.0, offered - sum(judging.values()) - (workers - 1) * self.longest_s) / offered
            )
        waits = idle > IDLE if idle is not None else self.seconds["network"] > sum(judging.values())
        stage = "network" if waits or not judging else max(judging, key=lambda name: judging[name])
        return Bottleneck(stage, _ADVICE[stage], idle)


def _chance(video: RefreshedVideo) -> bytes:
    return sha256(video.source_id.encode()).digest()
