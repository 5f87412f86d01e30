"""The command line: `voltome correlate`, `voltome demo` and so on.

A command parses its options, calls one function of the pipeline and prints a short summary. What a command needs is
imported when it runs, so that `voltome --help` is quick.
"""

from __future__ import annotations

from voltome.cli.application import app
from voltome.cli.endings import main

__all__ = ["app", "main"]
