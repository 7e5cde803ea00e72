"""Helpers for tests that start processes."""

import os
import select
from collections.abc import Iterable


def wait_for_end(pids: Iterable[int], timeout_s: float) -> bool:
    """Wait for the end of processes that are not children; return whether all have ended."""
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        with os.fdopen(descriptor, "rb") as file:
            if not select.select([file], [], [], timeout_s)[0]:
                return False
    return True
