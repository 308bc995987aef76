"""`vtbench data`: what is done with videos before anything is trained on them. A table of actions, each a file."""

from __future__ import annotations

SUMMARY = "Look at folders of videos and at files, check them, re-encode them"

ACTIONS = {
    "lists": "vtbench.cli.data.lists",
    "check": "vtbench.cli.data.check",
    "prepare": "vtbench.cli.data.prepare",
    "info": "vtbench.cli.data.info",
}
"""Action -> the module that defines it, in the order of `vtbench data --help`."""
