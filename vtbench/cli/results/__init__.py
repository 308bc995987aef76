"""`vtbench results`: what is done with a folder of results. A table of actions, each a file."""

from __future__ import annotations

SUMMARY = "Check a folder of results, merge several, export scores and curves"

ACTIONS = {
    "verify": "vtbench.cli.results.verify",
    "merge": "vtbench.cli.results.merge",
    "export": "vtbench.cli.results.export",
}
"""Action -> the module that defines it, in the order of `vtbench results --help`."""
