"""The command line `argus`: one module per group of commands."""

from argus.cli.app import app, main

__all__ = ["app", "main"]
