"""`vtbench wandb`: results on Weights & Biases. A table of actions, each a file."""

from __future__ import annotations

SUMMARY = "Push results to Weights & Biases, make a dashboard of them"

ACTIONS = {
    "sync": "vtbench.cli.wandb.sync",
    "dashboard": "vtbench.cli.wandb.dashboard",
}
"""Action -> the module that defines it, in the order of `vtbench wandb --help`."""
