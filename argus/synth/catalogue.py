"""A catalogue of videos at a site: url and split, the good ones spread over train, val and test."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from argus.files import write_text
from argus.synth.videos import SynthVideo
from schemas.names import Split

_ORDER = (
    Split.TRAIN,
    Split.VAL,
    Split.TEST,
    Split.TRAIN,
    Split.TRAIN,
    Split.TRAIN,
    Split.TRAIN,
    Split.TRAIN,
)


def write_catalogue(
    path: Path | str,
    videos: Sequence[SynthVideo],
    base_url: str,
    *,
    folder: Path | str,
    extra_urls: Iterable[str] = (),
) -> None:
    """Writes a CSV with columns url and split: `base_url` + the videos' places in `folder`, then `extra_urls` (such as one that is not there).

    Of eight good videos in a row, six are for training, the second validates and the third tests; so three are enough for all splits.
    """
    root = Path(folder).absolute()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["url", "split"])
    good = 0
    for video in videos:
        split = _ORDER[good % len(_ORDER)] if video.keep else Split.TRAIN
        good += video.keep
        writer.writerow(
            [f"{base_url.rstrip('/')}/{video.path.absolute().relative_to(root).as_posix()}", split]
        )
    writer.writerows([url, Split.TRAIN] for url in extra_urls)
    write_text(Path(path), text.getvalue())
