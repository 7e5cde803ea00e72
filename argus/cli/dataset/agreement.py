"""The command `agree`: how far a dataset agrees with a clip list of the Argus authors."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from argus.cli.console import (
    handle_errors,
    new_table,
    open_stdout,
    print_counts,
    print_json,
    print_next,
    print_note,
)
from argus.cli.dataset.inspect import open_view, read_videos
from argus.cli.options import DatasetOption, JsonOption
from argus.files import require_file

if TYPE_CHECKING:
    from argus.report import Agreement


@handle_errors
def agree(
    clip_list: Annotated[
        Path,
        typer.Argument(metavar="LIST", help="TSV of the authors: category, video_id, clip"),
    ],
    *,
    dataset: DatasetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare what the dataset keeps with a clip list of the Argus authors.

    Only videos that the dataset has read count, in spans of ten seconds. A span is kept if kept
    clips cover half of it. Spans of a listed video that are not in the list count as dropped by
    the authors.

    JSON keys: videos, present, unread (by reason), first, both_kept, both_dropped, only_list (by
    reason), only_dataset, spans, agreement, recall.

    Example: `argus dataset agree clips_hq.tsv`
    """
    require_file(clip_list, "clip list")
    view = open_view(dataset)
    from argus.report import compare_clip_list, read_clip_list

    clips = read_clip_list(clip_list)
    found = compare_clip_list(clips, read_videos(view))
    if as_json:
        shares = {"spans": found.spans, "agreement": found.agreement, "recall": found.recall}
        print_json({**vars(found), **shares})
    else:
        _print_agreement(open_stdout(), found)
        if not found.spans:
            print_note("No listed video has been read yet; the list is also a catalogue.")
            print_next(f"argus refresh {clip_list}")


def _print_agreement(out: Console, found: "Agreement") -> None:
    out.print(
        f"{found.present} of {found.videos} listed videos are in the dataset, "
        f"{found.unread.total()} of them unread; clips are counted from {found.first}"
    )
    table = new_table(out, "spans of 10 s", "dataset keeps", "dataset drops")
    table.add_row("in the list", str(found.both_kept), str(found.only_list.total()))
    table.add_row("not in the list", str(found.only_dataset), str(found.both_dropped))
    out.print(table)
    if found.agreement is not None and found.recall is not None:
        out.print(
            f"both agree on {found.agreement:.1%} of {found.spans} spans; "
            f"the dataset keeps {found.recall:.1%} of those in the list\n"
        )
    print_counts(out, "Listed spans not kept, by reason", found.only_list.most_common())
    print_counts(out, "Listed videos unread, by reason", found.unread.most_common())
