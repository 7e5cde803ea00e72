"""The command line `argus`."""

from argus.cli.app import app, main

__all__ = ["app", "main"]
