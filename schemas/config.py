"""Configurations: one frozen pydantic model per job.

Unknown fields are rejected, and every bound is checked here. Units are part of the field names.
`schemas.forms` shows the few fields that users change most.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from schemas.base import DatasetConfig, Fraction01, JobConfig, Settings
from schemas.learned_config import LearnedSettings, LearnedThresholds
from schemas.model_config import (
    ConditionSettings,
    EvaluateConfig,
    GenerateConfig,
    ModelSettings,
    NoisePhase,
    NoiseSettings,
    OptimSettings,
    SampleOverrides,
    SampleSettings,
    TrackingSettings,
    TrainConfig,
)
from schemas.names import Layout, Reason

__all__ = [
    "ClipSettings",
    "ConditionSettings",
    "CurateConfig",
    "DatasetConfig",
    "EvaluateConfig",
    "FetchSettings",
    "FilterSettings",
    "GenerateConfig",
    "HighQuality",
    "JobConfig",
    "LearnedSettings",
    "LearnedThresholds",
    "ModelSettings",
    "NoisePhase",
    "NoiseSettings",
    "OptimSettings",
    "PromoteConfig",
    "PromotionPolicy",
    "SampleOverrides",
    "SampleSettings",
    "Settings",
    "TrackingSettings",
    "TrainConfig",
]


class FetchSettings(Settings):
    """Settings for fetching videos.

    Two files hold secrets: only their paths are given here; they are read when a download starts.
    """

    allow_private_hosts: bool = Field(False, description="Allow loopback and private addresses")
    timeout_s: float = Field(
        1800,
        gt=0,
        description="Deadline of one attempt at one video, including the wait for the rate limit",
    )
    stall_s: float = Field(
        20, gt=0, description="An attempt ends if a site sends nothing for this long"
    )
    max_bytes: int = Field(8_000_000_000, gt=0, description="Largest file accepted")
    max_duration_s: float = Field(14_400, gt=0, description="Longest video accepted")
    min_free_bytes: int = Field(
        1_000_000_000, ge=0, description="Free disk space that a fetch must leave"
    )
    max_concurrent_downloads: int = Field(
        0,
        ge=0,
        description="Videos that are fetched, or fetched and not processed yet, at once; "
        "0: two more than are processed at once",
    )
    attempts: int = Field(
        2, ge=1, le=10, description="Attempts within one refresh for retryable errors"
    )
    backoff_s: float = Field(
        2.0,
        ge=0,
        description="Pause before the second attempt; doubles with each attempt, with jitter",
    )
    keep_files: bool = Field(
        False, description="Keep fetched files after their clips are committed"
    )
    youtube_per_hour: int = Field(
        300,
        ge=0,
        description="Videos per hour from YouTube, for each of our addresses; 0: no limit",
    )
    per_hour: int = Field(
        0,
        ge=0,
        description="Videos per hour from any other site, for each of our addresses; 0: no limit",
    )
    burst: int = Field(1, ge=1, description="Videos that may be fetched without a pause")
    breaker_after: int = Field(
        5,
        ge=1,
        description="Refusals in a row (403, 429, withheld formats, unsolved challenges) after "
        "which a site is not asked for a while; a bot check counts at once",
    )
    breaker_s: float = Field(
        600, gt=0, description="Length of the first such break; each further refusal doubles it"
    )
    proxies_file: str | None = Field(
        None,
        description="File of proxies, one http://[user:password@]host:port per line; "
        "only its owner may read it",
    )
    cookies_file: str | None = Field(
        None, description="File of cookies in Netscape format; only its owner may read it"
    )

    @field_validator("proxies_file", "cookies_file")
    @classmethod
    def _absolute(cls, path: str | None) -> str | None:
        return str(Path(path).expanduser().absolute()) if path else None


class ClipSettings(Settings):
    """Settings for cutting and storing clips; they belong to the recipe and shape the bytes."""

    height: int = Field(
        512, ge=32, le=2048, multiple_of=16, description="Stored height; the width is twice that"
    )
    fps: float = Field(
        5.0,
        gt=0,
        le=60,
        description="Target rate: every n-th frame with n = max(1, round(source fps / this)); of a "
        "variable rate, the frames shown at these times",
    )
    clip_s: float = Field(10.0, gt=0, le=60)
    min_clip_s: float = Field(2.0, gt=0, description="A tail shorter than this is dropped")
    crf: int = Field(18, ge=0, le=51)
    gop: int = Field(8, ge=1, le=64)


class HighQuality(Settings):
    """Thresholds for the second stage of training, for clips that are kept."""

    quality: Fraction01 = Field(0.5, description="Least quality")
    moving_share: Fraction01 = Field(
        0.4, description="Least share of the textured sphere that moves"
    )
    sharpness: float = Field(1.0, ge=0, description="Least sharpness in pixels of 0.7°")
    text_share: Fraction01 = Field(
        0.001, description="Largest share of the sphere in overlaid text"
    )
    dark_share: Fraction01 = 0.4
    bright_share: Fraction01 = 0.4
    nadir_share: Fraction01 = Field(
        0.6, description="Largest share of the nadir that moves with the camera"
    )
    shot_boundary: Fraction01 = Field(0.13, description="Largest boundary score within the clip")


class FilterSettings(Settings):
    """Thresholds of the filters.

    Scores are stored, so most of these may change without decoding a video again.
    """

    seam_ratio: float = Field(
        5.0,
        gt=0,
        description="Drop if the gradient at the seam exceeds this multiple of its neighbors', "
        "and seam_value",
    )
    seam_value: float = Field(0.05, ge=0)
    black_level: int = Field(
        5, ge=0, le=255, description="Gray level up to which a pixel counts as black"
    )
    black_share: Fraction01 = Field(
        0.20, description="Drop if every sampled frame has a larger share of black"
    )
    variance: float = Field(
        500.0,
        ge=0,
        description="Drop a clip unless the median gray variance of its frames exceeds this, and a "
        "video unless that of at least two sampled frames does",
    )
    static_difference: float = Field(
        0.005,
        ge=0,
        description="Drop below this mean difference of sampled frames over six views, in [0, 1]",
    )
    moving_share: Fraction01 = Field(
        0.25,
        description="Drop if less than this share of the textured sphere moves by 2° per second, "
        "after the camera's rotation is removed",
    )
    repeated_share: Fraction01 = Field(
        0.1,
        description="Drop a clip of a variable rate if more than this share of its frames repeat "
        "the one before, because the video shows nothing new; 1: never",
    )
    shot_boundary: Fraction01 = Field(
        0.17,
        description="A shot ends where frames differ by more than this after the best rotation; "
        "1: never",
    )
    text_share: Fraction01 = Field(
        0.0013,
        description="Drop if strokes of overlaid text cover more than this share of the sphere; "
        "1: never",
    )
    cap_share: Fraction01 = Field(
        0.1,
        description="Drop if caps at the zenith and nadir that are always black cover more than "
        "this share of the sphere",
    )
    sharpness: float = Field(
        0.85, ge=0, description="Drop below this sharpness in pixels of 1.4°; 0: never"
    )
    dark_share: Fraction01 = Field(
        0.8, description="Drop if more than this share of the sphere is darker than gray level 17"
    )
    bright_share: Fraction01 = Field(
        0.7,
        description="Drop if more than this share of the sphere is brighter than gray level 244",
    )
    nadir_share: Fraction01 = Field(
        1.0,
        description="Drop if more than this share of the sphere within 40° of the nadir moves with "
        "the camera",
    )
    tilt_deg: float = Field(
        90.0,
        ge=0,
        le=90,
        description="Drop if the camera is tilted by more than this (up to 30° are measured)",
    )
    tilt_support: Fraction01 = Field(
        0.15, description="Share of upright edges that must agree on a tilt"
    )
    high_quality: HighQuality = HighQuality()
    duplicates: Literal["drop", "keep"] = Field(
        "drop",
        description="Drop or keep a clip with the content of an earlier clip of another source",
    )
    halves_similarity: Fraction01 = Field(
        0.75, description="The video is stereo above this correlation of the detail in two halves"
    )
    changes_similarity: Fraction01 = Field(
        0.5,
        description="Left and right halves that are alike are two eyes from this correlation of "
        "what changes in them",
    )
    layout_evidence: Fraction01 = Field(
        0.4,
        description="Least evidence of pixels for or against a layout, in [-1, 1], that counts",
    )
    torn_edges: Fraction01 = Field(
        0.5,
        description="Least evidence of torn cube edges for a map that was converted twice",
    )
    blank_sides: Fraction01 = Field(
        0.8,
        description="Least loss of detail at the sides for a frame that is not a map",
    )
    disc_evidence: Fraction01 = Field(
        0.85, description="Least evidence of bright discs on black for a fisheye frame"
    )
    convert: tuple[Layout, ...] = Field(
        (
            Layout.STEREO_TB,
            Layout.STEREO_SBS,
            Layout.EAC,
            Layout.CUBEMAP,
            Layout.MONO_ERP_16X9,
            Layout.MONO_ERP_LETTERBOXED,
        ),
        description="Layouts to convert to mono ERP instead of dropping; dual_fisheye may be added",
    )
    fisheye_fov_deg: float = Field(
        200.0, gt=180, lt=280, description="Field of view of each lens of a converted dual fisheye"
    )
    learned: LearnedThresholds = LearnedThresholds()


class CurateConfig(DatasetConfig):
    """Configuration of a refresh, which curates a catalogue into a dataset."""

    catalogue: str = Field(
        description="Parquet, CSV, TSV or JSONL with `url` or `id`, or one URL per line"
    )
    retry: tuple[Reason | Literal["all"], ...] = Field(
        (),
        description="Reasons of failed or dropped videos to fetch and process again; "
        "all: every video that failed",
    )
    fetch: FetchSettings = FetchSettings()
    clip: ClipSettings = ClipSettings()
    filters: FilterSettings = FilterSettings()
    learned: LearnedSettings = LearnedSettings()
    chunk_size: int = Field(
        32, ge=1, le=4096, description="Sources per commit: fixed slices of the catalogue"
    )
    executor: Literal["local", "ray"] = Field(
        "local",
        description="Where videos are fetched and processed: this machine, or a Ray cluster. "
        "The dataset does not depend on it",
    )
    max_concurrent_videos: int = Field(
        0, ge=0, description="Videos processed at once; 0: as many as there are CPUs for"
    )
    cpus_per_video: float = Field(
        1.0,
        gt=0,
        le=64,
        description="CPUs reserved for each video that is processed; may be a fraction",
    )
    video_timeout_s: float = Field(
        14_400,
        gt=0,
        description="Deadline for processing one video; 4K takes half of its duration on one core",
    )
    work: str | None = Field(
        None,
        description="Folder on each machine for temporary files; default: `work` in ARGUS_HOME",
    )

    @field_validator("retry")
    @classmethod
    def _not_forgotten(cls, reasons: tuple[str, ...]) -> tuple[str, ...]:
        if Reason.FORGOTTEN in reasons:
            raise ValueError("videos that were taken down are never fetched again")
        return reasons


class PromotionPolicy(Settings):
    """Rule by which a candidate becomes champion."""

    metric: str = Field("ws_psnr_all", description="Higher is better")
    min_gain: float = Field(
        0.0, description="Required gain over the champion, in the metric's unit"
    )


class PromoteConfig(Settings):
    """Configuration of a promotion."""

    model_name: str = "argus"
    version: int | None = Field(
        None, ge=1, description="Default: the version with the alias candidate"
    )
    policy: PromotionPolicy = PromotionPolicy()
    tracking_uri: str | None = None
