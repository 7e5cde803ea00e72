"""Settings of learned scorers: which run, where, and the thresholds of their scores.

A threshold belongs to the filter settings, and so to the recipe; how the scorers run does not.
"""

from pydantic import Field

from schemas.base import Settings

__all__ = ["LearnedSettings", "LearnedThresholds"]


class LearnedThresholds(Settings):
    """Thresholds of learned scorers; None only records the score.

    A threshold that is set requires its scorer.
    """

    lpips_left_right: float | None = Field(
        None,
        ge=0,
        description="Drop below this LPIPS of the map's left and right halves; published: 0.05",
    )
    lpips_top_bottom: float | None = Field(
        None,
        ge=0,
        description="Drop below this LPIPS of the map's upper and lower halves; published: 0.3",
    )
    lpips_between: float | None = Field(
        None,
        ge=0,
        description="Drop below this LPIPS between moments, over six views; published: 0.002",
    )
    raft_speed_deg_s: float | None = Field(
        None, ge=0, description="Drop below this mean optical flow over six views"
    )
    transnetv2_boundary: float | None = Field(
        None, ge=0, le=1, description="Drop above this probability of a shot boundary"
    )
    aesthetic_mean: float | None = Field(
        None, description="Drop below this mean aesthetic score over six views"
    )
    text_ocr_overlay_share: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Drop above this share of the sphere in overlaid lines that can be read",
    )


class LearnedSettings(Settings):
    """Settings for the networks that measure kept clips.

    Their weights are local files: see `argus.curate.scorers`.
    """

    scorers: tuple[str, ...] = Field(
        (),
        description="Of lpips, raft, transnetv2, aesthetic, text_ocr; missing ones are reported",
    )
    weights: str | None = Field(
        None, description="Folder of the networks' weights; default: `weights` in ARGUS_HOME"
    )
    gpu_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of a GPU for each scoring process, if the cluster has GPUs; 0: CPUs",
    )
    processes: int = Field(
        0, ge=0, description="Scoring processes; 0: as many as fit the GPUs, or one on CPUs"
    )
    batch_clips: int = Field(4, ge=1, le=64, description="Clips per call; each is about 25 MB")
