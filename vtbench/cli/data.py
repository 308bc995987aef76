"""`vtbench data`: what is done with videos before anything is trained on them. A table of actions, each a file."""

from __future__ import annotations

SUMMARY = "Prepare videos for training, and say what they are"

ACTIONS = {
    "prepare": "vtbench.cli.data_prepare",
    "info": "vtbench.cli.data_info",
}
"""Action -> the module that defines it, in the order of `vtbench data --help`."""
