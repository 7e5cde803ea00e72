"""Figures of one refresh: decisions, time by stage, and the bottleneck."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from schemas.names import Decision

FETCHING = {"wait": "rate limit", "startup": "start-up", "transfer": "network"}
PROCESSING = {"decode": "decode", "filters": "filters", "encode": "encode"}
STAGES = {**FETCHING, "fetch": "download", **PROCESSING}
"""Names of the measured stages in the report, by their stored names.

The download as a whole stands for its parts where these were not measured.
"""

MAX_PAUSE_S = 900
"""Longer pauses are not part of the working time: the refresh was stopped and resumed later.
Shorter ones are, because a refresh waits for rate limits."""

MAX_SLOWEST, MAX_RETRIES, MAX_PICTURES = 10, 50, 6
"""Number of videos that are listed as slowest, as to be retried, and pictured per reason."""

_IDLE_SHARE = 0.4  # if workers are idle for a larger share of the time, they wait for downloads
_BUSY_SHARE = 0.7  # if the CPUs are busy for a larger share of the time, they are the limit
_ADVICE = {
    "rate limit": "Downloads wait for the rate limits of their sites, so more workers will not "
    "help. Options: raise the limits where the site allows it (fetch.per_hour, "
    "fetch.youtube_per_hour), use more IP addresses (fetch.proxies_file), or mix more sites in the "
    "catalogue.",
    "start-up": "Starting downloads takes the most time: a process each, and the requests that "
    "find the video file. If CPUs are free, more downloads at once help "
    "(fetch.max_concurrent_downloads); otherwise more CPUs. More IP addresses will not.",
    "network": "Workers wait for the transfer of files, so more workers will not help. Options: "
    "more downloads at once (fetch.max_concurrent_downloads) if the sites are slow, or more "
    "bandwidth.",
    "download": "Workers wait for downloads, so more workers will not help. The parts of this time "
    "were not measured.",
    "decode": "Decoding takes the most time. More CPUs help in proportion. Files with smaller "
    "frames or more keyframes decode faster.",
    "filters": "Filters take the most time. More CPUs help in proportion.",
    "encode": "Encoding clips takes the most time. More CPUs help in proportion, and a smaller "
    "clip.height is faster.",
}


@dataclass(frozen=True)
class RefreshedVideo:
    """One video that a refresh decided."""

    source_id: str
    url: str
    split: str
    decision: str  # a schemas.names.Decision
    reason: str  # a schemas.names.Reason; empty if kept
    detail: str
    retryable: bool
    layout: str
    decided_at: datetime
    recipe: str
    code_version: str
    seconds: Mapping[str, float] = field(default_factory=dict)  # by stage, if measured
    fetch_cpu_s: float = 0.0  # CPU time of the download
    process_cpu_s: float = 0.0
    length_s: float = 0.0  # of the whole video; 0 if it could not be read
    download_bytes: int = 0
    clips: int = 0  # number of kept clips
    clips_s: float = 0.0  # total length of the kept clips
    clip_reasons: tuple[str, ...] = ()  # of the other clips
    thumbnail: str | None = None  # path relative to the dataset

    @property
    def work_s(self) -> float:
        """Time of all stages together without waiting for the rate limit, in seconds."""
        return sum(seconds for name, seconds in self.seconds.items() if name != "wait")


@dataclass(frozen=True)
class Bottleneck:
    """The stage that limits a refresh, and advice."""

    stage: str  # a value of STAGES
    advice: str
    idle: float | None  # share of the workers' time that was unused; None if unknown
    cpu: float | None = None  # share of the CPUs' time that was used; None if unknown


@dataclass
class RefreshFigures:
    """Totals over the videos of a refresh, and a bounded selection of videos."""

    decisions: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By (decision, reason), of videos that were not kept."""
    clips: int = 0  # kept
    clip_reasons: Counter[str] = field(default_factory=Counter)  # of clips that were not kept
    hours_in: float = 0.0  # of videos that could be read
    hours_out: float = 0.0  # of kept clips
    download_bytes: int = 0
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Total time by stage (a value of STAGES)."""
    fetch_cpu_s: float = 0.0
    process_cpu_s: float = 0.0
    longest_s: float = 0.0  # longest time for which one video occupied a worker
    retryable: int = 0
    reevaluated: int = 0  # decided from stored scores, without download or decoding
    recipes: set[str] = field(default_factory=set)
    code_versions: set[str] = field(default_factory=set)
    work_intervals: list[tuple[float, float]] = field(default_factory=list)
    """Start and end of the work on each video, in seconds since 1970."""
    slowest: list[RefreshedVideo] = field(default_factory=list)  # the slowest first
    to_retry: list[RefreshedVideo] = field(default_factory=list)
    pictured: dict[str, list[RefreshedVideo]] = field(default_factory=dict)
    """By reason; "" for kept videos."""

    def add(self, video: RefreshedVideo) -> None:
        """Count one video."""
        self.decisions[video.decision] += 1
        if video.reason:
            self.reasons[video.decision, video.reason] += 1
        self.clips += video.clips
        self.clip_reasons.update(video.clip_reasons)
        self.hours_in += video.length_s / 3600
        self.hours_out += video.clips_s / 3600
        self.download_bytes += video.download_bytes
        for name, seconds in video.seconds.items():
            self.seconds[STAGES[name]] += seconds
        self.fetch_cpu_s += video.fetch_cpu_s
        self.process_cpu_s += video.process_cpu_s
        processing_s = sum(video.seconds.get(name, 0.0) for name in PROCESSING)
        self.longest_s = max(self.longest_s, processing_s)
        self.reevaluated += bool(video.length_s) and not video.seconds
        self.recipes.add(video.recipe)
        self.code_versions.add(video.code_version)
        end = video.decided_at.timestamp()
        self.work_intervals.append((end - video.work_s, end))
        self._select(video)

    def _select(self, video: RefreshedVideo) -> None:
        """Update the selected videos; the selection does not depend on the order of videos."""
        if video.seconds:
            self.slowest = sorted(
                [*self.slowest, video], key=lambda video: (-video.work_s, video.source_id)
            )[:MAX_SLOWEST]
        if video.retryable:
            self.retryable += 1
            self.to_retry = sorted([*self.to_retry, video], key=_hash_id)[:MAX_RETRIES]
        if video.thumbnail:
            self.pictured[video.reason] = sorted(
                [*self.pictured.get(video.reason, ()), video], key=_hash_id
            )[:MAX_PICTURES]

    @property
    def videos(self) -> int:
        """Number of videos that were decided."""
        return sum(self.decisions.values())

    @property
    def outcomes(self) -> list[tuple[str, str, int]]:
        """(decision, reason, videos): kept ones first, then others, the most frequent first."""
        others = sorted(self.reasons.items(), key=lambda item: (-item[1], item[0]))
        return [
            (Decision.KEPT, "", self.decisions[Decision.KEPT]),
            *((decision, reason, count) for (decision, reason), count in others),
        ]

    @property
    def working_s(self) -> float:
        """Elapsed time of the refresh, in seconds, without pauses longer than `MAX_PAUSE_S`."""
        total, latest = 0.0, float("-inf")
        for start, end in sorted(self.work_intervals):
            total += end - start if start > latest + MAX_PAUSE_S else max(0.0, end - latest)
            latest = max(latest, end)
        return total

    def rate_per_hour(self, amount: float) -> float | None:
        """Return an amount per hour of working time; None if no time was measured."""
        return 3600 * amount / self.working_s if self.seconds and self.working_s else None

    def find_bottleneck(
        self, workers: float | None = None, cpus: float | None = None
    ) -> Bottleneck | None:
        """Return the stage that limits the refresh; None if no time was measured.

        If the CPUs are busy for more than 70% of the time, it is the stage that uses them most: the
        start-up of downloads, or one of processing. Else, if workers are idle for more than 40% of
        the time (not counting what one long video at the end explains), they wait for downloads: it
        is the longest part of these. If the number of workers is unknown, they wait if downloads
        took longer than all processing together. Else it is the longest stage of processing.

        Args:
            workers: Number of videos that are processed at the same time, if known.
            cpus: Number of CPUs, if known.
        """
        if not sum(self.seconds.values()):
            return None
        processing = self._select_seconds(PROCESSING.values())
        fetching = self._select_seconds((*FETCHING.values(), STAGES["fetch"]))
        processing_s, cpu = sum(processing.values()), self._measure_cpu_share(cpus)
        idle = None
        if workers:
            available_s = workers * self.working_s
            unused_s = available_s - processing_s - (workers - 1) * self.longest_s
            idle = max(0.0, unused_s) / available_s
        is_waiting = (
            idle > _IDLE_SHARE if idle is not None else sum(fetching.values()) > processing_s
        )
        if cpu is not None and cpu > _BUSY_SHARE:
            is_starting = self.fetch_cpu_s > self.process_cpu_s
            candidates = {FETCHING["startup"]: 1.0} if is_starting else processing
        else:
            candidates = fetching if is_waiting else processing
        measured = candidates or fetching or processing
        stage = max(measured, key=lambda name: measured[name])
        return Bottleneck(stage, _ADVICE[stage], idle, cpu)

    def _select_seconds(self, stages: Iterable[str]) -> dict[str, float]:
        return {name: self.seconds[name] for name in stages if name in self.seconds}

    def _measure_cpu_share(self, cpus: float | None) -> float | None:
        """Return the share of the CPUs' time that was used; None if it was not measured."""
        used_s = self.fetch_cpu_s + self.process_cpu_s
        return used_s / (cpus * self.working_s) if cpus and used_s and self.working_s else None


def _hash_id(video: RefreshedVideo) -> bytes:
    return sha256(video.source_id.encode()).digest()
