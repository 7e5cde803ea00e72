"""Tables and report of the demo."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from argus.dataset import Dataset
from argus.registry import read_logged_pictures, read_metric_history
from argus.report import Picture, ReportData, VideoCard, crop_thumbnail

if TYPE_CHECKING:
    from flows.pipeline import PipelineSummary

_METHOD_NAMES = {
    "model": "trained model",
    "untrained": "untrained model",
    "fill": "fill baseline",
    "champion": "previous champion",
}
_SUMMARY_ROWS = (
    "videos considered",
    "videos kept",
    "clips",
    "snapshot",
    "training steps",
    "validation loss",
)  # on the page; the other rows have their own sections
_CARD_COLUMNS = (
    "source_id",
    "url",
    "decision",
    "reason",
    "detail",
    "thumbnail",
    "layout",
    "split",
    "clips",
)


def list_cards(dataset: Dataset) -> list[VideoCard]:
    """Return the latest decision about every video, with its picture."""
    return [
        VideoCard(
            source_id=row["source_id"],
            url=row["url"],
            decision=row["decision"],
            reason=row["reason"] or "",
            detail=row["detail"] or "",
            thumbnail=crop_thumbnail(dataset.store.read(row["thumbnail"]))
            if row["thumbnail"]
            else None,
            layout=row["layout"] or "",
            split=row["split"] or "",
            clips=sum(clip["decision"] == "kept" for clip in row["clips"] or ()),
        )
        for row in dataset.read_latest(_CARD_COLUMNS).to_pylist()
    ]


def summarize(summary: "PipelineSummary", cards: Sequence[VideoCard]) -> dict[str, str]:
    """Return the results of the demo as text by name.

    Args:
        summary: The results of the stages.
        cards: The decisions about all videos.
    """
    dropped = Counter(card.reason for card in cards if card.decision != "kept")
    reasons = sorted(dropped.items(), key=lambda item: (-item[1], item[0]))
    rows = {
        "videos considered": str(len(cards)),
        "videos kept": str(len(cards) - dropped.total()),
        "videos dropped": ", ".join(f"{count} {reason}" for reason, count in reasons) or "none",
        "clips": str(sum(card.clips for card in cards)),
        "snapshot": str(summary.refresh.outputs.get("snapshot")),
    }
    if summary.train:
        metrics = summary.train.metrics
        first, last = metrics["validation_loss_first"], metrics["validation_loss_last"]
        rows["training steps"] = f"{metrics['steps']:.0f}"
        rows["validation loss"] = f"{first:.4f} → {last:.4f}"
    if summary.evaluate:
        for method, values in group_by_method(summary.evaluate.metrics).items():
            areas = " · ".join(
                f"{values[f'psnr_{area}']:.2f} {area}" for area in ("all", "seen", "unseen")
            )
            rows[f"PSNR, {_METHOD_NAMES.get(method, method)}"] = f"{areas} dB"
    if summary.train and summary.verdict:
        rows["model"] = f"{summary.train.outputs['model_uri']}, {summary.verdict.decision}"
        rows["promotion"] = "; ".join(summary.verdict.reasons)
    return rows


def group_by_method(metrics: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Group metrics named METHOD.METRIC by method, the model first.

    For example, {"model.psnr_all": 9.0} gives {"model": {"psnr_all": 9.0}}. Names without a method
    are left out.
    """
    groups: dict[str, dict[str, float]] = {}
    for name, value in metrics.items():
        method, separator, metric = name.partition(".")
        if separator:
            groups.setdefault(method, {})[metric] = value
    ranks = {method: rank for rank, method in enumerate(_METHOD_NAMES)}
    return dict(sorted(groups.items(), key=lambda item: ranks.get(item[0], len(ranks))))


def tabulate(rows: Mapping[str, str]) -> Table:
    """Return the results as a table for the terminal."""
    table = Table("result", "value", title="Argus demo", title_justify="left")
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def tabulate_labels(
    cards: Sequence[VideoCard], labels: Mapping[str, Mapping[str, str]], media_url: str
) -> Table:
    """Return a table of the decisions about real videos and their labels.

    Args:
        cards: The decisions about all videos.
        labels: The rows of labels.csv by the video's path.
        media_url: The URL below which the videos were served.
    """
    title = "Real videos"
    table = Table("video", "label", "decision", "reason", title=title, title_justify="left")
    cards_by_url = {card.url: card for card in cards}
    for name, label in labels.items():
        card = cards_by_url.get(f"{media_url}/{name}")
        expected = ": ".join(part for part in (label.get("keep"), label.get("reason")) if part)
        table.add_row(
            name,
            expected,
            card.decision if card else "not considered",
            f"{card.reason} {card.detail}".strip() if card else "",
        )
    return table


def make_report(
    summary: "PipelineSummary",
    cards: Sequence[VideoCard],
    rows: Mapping[str, str],
    video: Path,
    output: Path,
    tracking_uri: str,
) -> ReportData:
    """Return the content of the report.

    Args:
        summary: The results of the stages; none of them was skipped.
        cards: The decisions about all videos.
        rows: The results of `summarize`.
        video: The ordinary input video.
        output: The generated video.
        tracking_uri: MLflow's server or database.
    """
    train, evaluation = summary.train, summary.evaluate
    assert train is not None
    assert evaluation is not None
    mlflow_run = train.outputs["mlflow_run_id"]
    generated = "The input video, the generated 360° video, and the seam of the generated video"
    compared = "Held-out videos: input, every method, truth"
    return ReportData(
        title="Argus demo",
        subtitle="Curation, training, evaluation, promotion and generation on synthetic videos",
        summary={name: rows[name] for name in _SUMMARY_ROWS},
        model={
            "URI": str(train.outputs["model_uri"]),
            "promotion": str(summary.verdict.decision if summary.verdict else ""),
        },
        metrics={
            _METHOD_NAMES.get(method, method): values
            for method, values in group_by_method(evaluation.metrics).items()
        },
        results=(
            Picture(_draw_generated(video, output), generated),
            Picture(Path(evaluation.outputs["picture"]), compared),
        ),
        samples=tuple(
            Picture(picture.png, f"step {picture.step}: input, generated, truth")
            for picture in read_logged_pictures(mlflow_run, tracking_uri=tracking_uri)
        ),
        train_loss=read_metric_history(mlflow_run, "loss", tracking_uri=tracking_uri),
        validation_loss=read_metric_history(
            mlflow_run, "validation_loss", tracking_uri=tracking_uri
        ),
        videos=tuple(cards),
        provenance=_list_provenance(summary),
    )


def _list_provenance(summary: "PipelineSummary") -> dict[str, str]:
    outputs: dict[str, Any] = {
        "run": summary.run_id,
        **summary.refresh.outputs,
        **(summary.train.outputs if summary.train else {}),
    }
    outputs["promotion"] = "; ".join(summary.verdict.reasons) if summary.verdict else None
    return {name: str(value) for name, value in outputs.items() if value is not None}


def _draw_generated(video: Path, output: Path) -> bytes:
    """Return the middle frames of input and output, and the seam of the latter, as a PNG."""
    from argus.media import open_video
    from argus.report import crop_seam, encode_png, make_strip

    with open_video(video) as source, open_video(output) as generated:
        ordinary = source.frames([len(source) // 2])[0]
        panorama = generated.frames([len(generated) // 2])[0]
    panels = {"input": ordinary, "generated": panorama, "seam": crop_seam(panorama)}
    return encode_png(make_strip(panels))
