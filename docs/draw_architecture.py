"""Draw docs/architecture.svg: the way of a clip from its url to the model, and where each step runs.

python docs/draw_architecture.py
"""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch

mpl.use("svg")
mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "argus", "font.size": 10})
OUTPUT = Path(__file__).with_name("architecture.svg")

STAGES = (
    ("catalogue", "argus.curate", "read_catalogue"),
    ("video file", "argus.curate.download", "fetch"),
    ("clips", "argus.curate", "process_video"),
    ("shard", "argus.dataset", "commit_chunk"),
    ("snapshot", "argus.dataset", "publish"),
    ("batch", "argus.train", "TrainingData"),
    ("latents", "argus.diffusion", "make_batch"),
    ("loss", "argus.diffusion", "diffusion_loss"),
    ("checkpoint", "argus.train", "train"),
    ("metrics", "argus.evaluate", "evaluate_clip"),
    ("registered model", "argus.registry", "register_model"),
    ("360° video", "argus.infer", "generate_video"),
)
"""What a step makes, the package that makes it, and the function to read first."""

JOBS = (
    ("ray_jobs.curate", 0, 4),
    ("ray_jobs.train", 5, 8),
    ("ray_jobs.evaluate", 9, 9),
    ("ray_jobs.generate", 11, 11),
)
FLOWS = (
    ("refresh", 0, 4),
    ("train", 5, 8),
    ("evaluate", 9, 9),
    ("promote", 10, 10),
    ("generate", 11, 11),
)
COLORS = {"stage": "#dcebf7", "job": "#fbe8cf", "flow": "#e4f2df"}
WIDTH, HEIGHT, STEP, PER_ROW = 2.6, 0.95, 3.0, 6
ROWS = (0.0, -4.4)


def place(stage: int) -> tuple[float, float]:
    """Return the lower left corner of a stage's box."""
    return (stage % PER_ROW) * STEP, ROWS[stage // PER_ROW]


def draw_box(
    axes: plt.Axes,
    corner: tuple[float, float],
    size: tuple[float, float],
    lines: list[str],
    color: str,
) -> None:
    box = FancyBboxPatch(
        corner, *size, boxstyle="round,pad=0,rounding_size=0.12", facecolor=color, edgecolor="#555"
    )
    axes.add_patch(box)
    middle = corner[0] + size[0] / 2
    for number, line in enumerate(lines):
        y = corner[1] + size[1] * (1 - (number + 0.5) / len(lines))
        weight = "bold" if number == 0 and len(lines) > 1 else "normal"
        axes.text(
            middle,
            y,
            line,
            ha="center",
            va="center",
            fontweight=weight,
            fontsize=10 if number == 0 else 8,
        )


def draw_spans(
    axes: plt.Axes, spans: tuple[tuple[str, int, int], ...], offset: float, color: str
) -> None:
    """Draw a bar below the stages that each job or flow covers, split where a row ends."""
    for name, first, last in spans:
        for row in sorted({first // PER_ROW, last // PER_ROW}):
            start, end = max(first, row * PER_ROW), min(last, (row + 1) * PER_ROW - 1)
            left, y = place(start)
            width = place(end)[0] + WIDTH - left
            draw_box(axes, (left, y - offset), (width, 0.5), [name], color)


def main() -> None:
    figure, axes = plt.subplots(figsize=(14, 6))
    for number, (product, package, function) in enumerate(STAGES):
        x, y = place(number)
        draw_box(axes, (x, y), (WIDTH, HEIGHT), [product, package, function], COLORS["stage"])
        if number + 1 < len(STAGES) and (number + 1) % PER_ROW:
            axes.annotate(
                "",
                (x + STEP, y + HEIGHT / 2),
                (x + WIDTH, y + HEIGHT / 2),
                arrowprops={"arrowstyle": "-|>", "color": "#333"},
            )
    turn = [place(5)[0] + WIDTH + 0.25, -2.6]
    xs = [place(5)[0] + WIDTH, turn[0], turn[0], -0.25, -0.25, 0]
    ys = [HEIGHT / 2, HEIGHT / 2, turn[1], turn[1], ROWS[1] + HEIGHT / 2, ROWS[1] + HEIGHT / 2]
    axes.plot(xs[:-1], ys[:-1], color="#333", lw=1)
    axes.annotate(
        "", (xs[-1], ys[-1]), (xs[-2], ys[-2]), arrowprops={"arrowstyle": "-|>", "color": "#333"}
    )
    draw_spans(axes, JOBS, 0.75, COLORS["job"])
    draw_spans(axes, FLOWS, 1.45, COLORS["flow"])
    for number, (name, color) in enumerate(
        (
            ("library: argus", "stage"),
            ("Ray or local process: ray_jobs", "job"),
            ("Prefect: flows", "flow"),
        )
    ):
        draw_box(axes, (number * 4.4, 1.6), (4.0, 0.5), [name], COLORS[color])
    axes.set(xlim=(-0.5, PER_ROW * STEP + 0.3), ylim=(ROWS[1] - 1.7, 2.3))
    axes.set_aspect("equal")
    axes.axis("off")
    figure.savefig(OUTPUT, bbox_inches="tight", metadata={"Date": None})


if __name__ == "__main__":
    main()
