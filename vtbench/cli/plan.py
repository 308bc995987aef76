"""`vtbench plan`: the distinct training runs behind rows, and how much work is left."""

from __future__ import annotations

import argparse

from vtbench.cli.jobs.engine import add_engine, slurm_of
from vtbench.cli.jobs.machine import add_devices, add_update, add_workers
from vtbench.cli.options import (
    Parser,
    add_changes,
    add_folders,
    add_format,
    add_init,
    add_scale,
    add_seeds,
    add_selectors,
    selected_rows,
    settings_of,
)
from vtbench.errors import UsageError
from vtbench.report.printing import cell_text, print_json, print_rows, print_text
from vtbench.scales import SCALES

SUMMARY = "Show which training runs are done, to do or blocked, and how much work is left"
EXAMPLES = (
    "vtbench plan msca/table2 --seeds 0-2",
    "vtbench plan pst/table2a --device a100",
    "vtbench plan pst/table3@sthv2 --scale paper --data sthv2=/datasets/something-v2",
    "vtbench plan msca/table2 --engine slurm --slurm-partition gpu --slurm-time 24:00:00",
)
PAGED = True

HIDDEN_FIRST = ("downloads", "blocked_by", "needs", "training", "seconds", "gmacs", "seed")
"""Columns that a narrow terminal loses first; what the first two say is also said below the table."""


def options(parser: Parser) -> None:
    """SEL, --format, --scale, --seeds, --device, --results, --data, --weights, --engine, and what its scripts depend
    on."""
    add_selectors(parser)
    add_format(parser)
    add_scale(parser, "mini")
    add_seeds(parser)
    parser.add_argument(
        "--device",
        metavar="NAME",
        help="the GPU of the hours, as h100, a100, v100, rtx4090; h100@0.4 at 40 %% of its peak; 400tflops@0.3 for one "
        "that has no name here; default: h200. Without --scale, at paper scale",
    )
    parser.set_defaults(scale=None)
    add_folders(parser)
    add_changes(parser)
    add_init(parser)
    add_engine(parser)
    add_devices(parser)
    add_update(parser)
    add_workers(parser)


def call(args: argparse.Namespace) -> int:
    """Print one line per distinct training run, or what --engine slurm would submit."""
    from vtbench.report.machines.devices import find_device

    args.scale = args.scale or ("paper" if args.device else "mini")
    device = find_device("h200" if args.device is None else args.device)
    if args.device and not SCALES[args.scale].real:
        real = " or ".join(scale for scale, about in SCALES.items() if about.real)
        raise UsageError(
            f"--device gives hours at {real} scale; at {args.scale} scale the networks are small, and plan gives the "
            "seconds that others took"
        )
    engine = slurm_of(args, submits=False)
    of_scripts = ("batch_size", "devices", "data_workers", "num_nodes", "accumulate", "workers")
    if engine is None and (given := [name for name in of_scripts if getattr(args, name) is not None]):
        option = given[0].replace("_", "-")
        raise UsageError(f"--{option} needs --engine slurm, whose scripts depend on it; leave it out")
    rows, settings = selected_rows(args), settings_of(args)
    from vtbench.run.jobs.plan import all_measurements, graph, nothing_to_do, plan, summary

    entries = plan(rows, settings, args.scale, args.seeds, device)
    if engine is not None:
        to_do = {entry["training"] for entry in entries if entry["state"] == "to do"}
        jobs = graph(all_measurements(rows, args.scale, args.seeds))
        print("\n".join(engine.scripts({key: job for key, job in jobs.items() if key in to_do}, settings)))
        for line in summary(entries, args.scale):
            print_text(f"# {line}")
        return 0
    if args.format == "json":
        print_json(entries)
        return 0
    if args.format == "table" and not entries:
        print_text(nothing_to_do(rows, args.scale))
        return 0
    lines = [{**entry, "gmacs": _gmacs(entry["macs"], args.format)} for entry in entries]
    hours = ("hours",) if SCALES[args.scale].real else ()
    downloads = ("downloads",) if any(entry["downloads"] for entry in entries) else ()
    columns = ("state", "training", "title", "seed", "needs", "gmacs", *hours, "seconds", *downloads, "blocked_by")
    if args.format in ("table", "md"):  # a column of nothing is not worth its place
        columns = tuple(name for name in columns if any(cell_text(line[name]) for line in lines))
    print_rows(lines, columns, args.format, hide=HIDDEN_FIRST)
    if args.format == "table":
        print()
        for line in summary(entries, args.scale):
            print_text(line)
    return 0


def _gmacs(macs: int | None, form: str) -> str:
    """In 1e9, for readers without an exponent."""
    if macs is None:
        return ""
    return f"{macs / 1e9:,.0f}" if form in ("table", "md") and macs >= 1e13 else cell_text(macs / 1e9)
