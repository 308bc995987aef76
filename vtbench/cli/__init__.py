"""The command line: parse, import late, call. `list`, `show`, `check` and `report` never import torch."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from vtbench import __version__
from vtbench.errors import UsageError, VtbenchError, did_you_mean, printable
from vtbench.report.printing import FORMATS, print_json, print_rows

if TYPE_CHECKING:
    from vtbench.papers import Paper, Row
    from vtbench.run.settings import Settings

MAX_SEED = 2**32 - 1  # what numpy and Lightning take
SELECTORS = (
    'rows: "msca", "msca/table2", "msca/table2:msca-kv", each also with a measurement, as in '
    '"pst/table3:pst-t-in1k-1x1@sthv2"; several at once; none means all'
)


class Parser(argparse.ArgumentParser):
    """argparse whose errors are one line, as all others."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


# ---- options ---------------------------------------------------------------------------------------------------------


def _selectors(parser: Parser) -> None:
    parser.add_argument("selectors", nargs="*", metavar="SEL", help=SELECTORS)
    parser.add_argument(
        "--include",
        action="append",
        default=[],
        metavar="DIR",
        help="folder with benchmarks/ or data_manifests/ of your own; as `include` in vtbench.yaml",
    )


def _format(parser: Parser) -> None:
    parser.add_argument("--format", choices=FORMATS, default="table", help="default: table")


def _scale(parser: Parser, default: str) -> None:
    from vtbench.scales import smallest_first

    what = f"size of the experiment; default: {default}"
    parser.add_argument("--scale", choices=smallest_first(), default=default, help=what)


def _seeds(parser: Parser) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--seeds", type=_seed_list, metavar="N,N,...", help="seeds, as 0,1,2 or 0-2; default: 0")
    group.add_argument("--seed", type=_seed_list, dest="seeds", metavar="N", help="one seed")
    parser.set_defaults(seeds=[0])


def _seed_list(text: str) -> list[int]:
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()) or int(last or first) < int(first):
            raise argparse.ArgumentTypeError(f"{text!r} is no list of seeds such as 0,1,2 or 0-2")
        if int(last or first) > MAX_SEED:
            raise argparse.ArgumentTypeError(f"{text!r}: the highest seed is {MAX_SEED}")
        seeds.extend(range(int(first), int(last or first) + 1))
    return list(dict.fromkeys(seeds))


def _set(parser: Parser) -> None:
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help='a setting of the rows to change, as in --set model.first=next; blocks "data", "model" and "eval"',
    )


def _results(parser: Parser) -> None:
    parser.add_argument("--results", metavar="DIR", help="folder of results.csv and the runs; default: results")


def _folders(parser: Parser) -> None:
    _results(parser)
    parser.add_argument("--data", action="append", default=[], metavar="NAME=PATH", help="folder of a data set")
    parser.add_argument("--weights", action="append", default=[], metavar="NAME=FILE", help="file of given weights")


def _machine(parser: Parser) -> None:
    parser.add_argument(
        "--batch-size",
        type=_positive,
        metavar="N",
        help="clips per forward pass; the batch per update stays as near to the recipe's as whole passes allow",
    )
    parser.add_argument(
        "--data-workers", type=_positive, metavar="N", help="processes that read videos, at paper scale"
    )


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)


def _settings(args: argparse.Namespace) -> Settings:
    from vtbench.run.settings import load_settings

    options = vars(args)
    return load_settings(
        results=options.get("results"),
        data=options.get("data", ()),
        weights=options.get("weights", ()),
        batch_size=options.get("batch_size"),
        num_workers=options.get("data_workers"),
        wandb=options.get("wandb", "off"),
    )


def _rows(args: argparse.Namespace) -> list[Row]:
    from vtbench.papers import select

    rows = select(args.selectors)
    if settings := getattr(args, "set", []):
        from vtbench.papers.override import with_settings

        rows = with_settings(rows, settings)
    return rows


# ---- list ------------------------------------------------------------------------------------------------------------


def _list_options(parser: Parser) -> None:
    _selectors(parser)
    _format(parser)
    _scale(parser, "paper")


def _list(args: argparse.Namespace) -> int:
    from vtbench.cli.show import list_entry

    rows = _rows(args)
    entries = [list_entry(row, args.scale) for row in rows]
    print_rows(entries, ("id", "label", "own", "status", "published", "trainings"), args.format)
    if args.format == "table":
        trainings = {key for entry in entries for key in entry["trainings"]}
        print(f"\n{len(rows)} rows, {len(trainings)} distinct trainings at {args.scale} scale")
    return 0


# ---- show ------------------------------------------------------------------------------------------------------------


def _show_options(parser: Parser) -> None:
    _selectors(parser)
    _format(parser)
    _scale(parser, "mini")


def _show(args: argparse.Namespace) -> int:
    from vtbench.cli.show import flat_lines, print_entry, show_entry
    from vtbench.papers import load_paper

    entries = [show_entry(load_paper(row.paper), row, args.scale) for row in _rows(args)]
    if args.format == "json":
        print_json(entries)
    elif args.format == "table":
        for entry in entries:
            print_entry(entry)
    else:
        columns = ("id", "measurement", "key", "paper", "source", args.scale, "why")
        print_rows([line for entry in entries for line in flat_lines(entry)], columns, args.format)
    return 0


# ---- check -----------------------------------------------------------------------------------------------------------


def _check_options(parser: Parser) -> None:
    _selectors(parser)
    _format(parser)


def _check(args: argparse.Namespace) -> int:
    from vtbench.papers import paper_names
    from vtbench.papers.check import check, check_datasets
    from vtbench.papers.datasets import dataset_names
    from vtbench.papers.selector import Selector

    names = list(dict.fromkeys(Selector.parse(text).paper for text in args.selectors)) or paper_names()
    for name in names:
        if name not in paper_names():
            raise UsageError(f"no paper '{name}'{did_you_mean(name, paper_names())}")
    entries: list[dict[str, Any]] = []
    for name in names:
        paper, problems = check(name)
        entries.append({"paper": name, **_counts(None if problems else paper), "problems": problems})
    if not args.selectors:
        entries.append({"paper": None, "data_sets": len(dataset_names()), "problems": check_datasets()})
    elif not any(entry["problems"] for entry in entries):
        _rows(args)  # a selector below a paper must name something too
    if args.format == "table":
        for entry in entries:
            for problem in entry["problems"]:
                print(printable(problem))
            parts = (entry["paper"], _counted(entry), _verdict(entry["problems"]))
            print(": ".join(part for part in parts if part))
    else:
        columns = dict.fromkeys(name for entry in entries for name in entry if name != "problems")
        print_rows(entries, (*columns, "problems"), args.format)
    return 2 if any(entry["problems"] for entry in entries) else 0


def _counts(paper: Paper | None) -> dict[str, int]:
    """Tables, rows, and the trainings of each scale, without those that they start from, which are counted apart."""
    if paper is None:
        return {}
    from vtbench.papers import measurements
    from vtbench.scales import SCALES

    counts = {"tables": len(paper.tables), "rows": len(paper.rows)}
    for scale in SCALES:
        trainings = [m.evaluation.training for row in paper.rows for m in measurements(row, scale)]
        keys = {training.key for training in trainings}
        before = {start.key for training in trainings for start in training.ancestors()} - keys
        counts[f"trainings_at_{scale}_scale"] = len(keys)
        if before:
            counts[f"pretrainings_at_{scale}_scale"] = len(before)
    return counts


def _counted(entry: dict[str, Any]) -> str:
    """The numbers of `_counts`, in words."""
    from vtbench.scales import SCALES

    words = [f"{entry[name]} {name.replace('_', ' ')}" for name in ("data_sets", "tables", "rows") if name in entry]
    trainings = []
    for scale in SCALES if "rows" in entry else ():
        before = entry.get(f"pretrainings_at_{scale}_scale")
        several = f" and {before} pretrainings" if before else ""
        trainings.append(f"{entry[f'trainings_at_{scale}_scale']}{several} at {scale}")
    return ", ".join(words) + (f"; trainings: {', '.join(trainings)} scale" if trainings else "")


def _verdict(problems: list[str]) -> str:
    return f"{len(problems)} problem{'s' if len(problems) > 1 else ''}" if problems else "ok"


# ---- cost, plan, run, eval, report -----------------------------------------------------------------------------------


def _cost_options(parser: Parser) -> None:
    _selectors(parser)
    _format(parser)
    _scale(parser, "paper")
    _set(parser)


def _cost(args: argparse.Namespace) -> int:
    rows = _rows(args)
    from vtbench.run import cost

    entries, growths = cost.cost(rows, args.scale), cost.complexity(rows)
    if args.format == "json":
        print_json(entries + growths)
        return 0
    lines = [
        {
            "id": entry["id"],
            "params_m": f"{entry['params_m']:.4f}",
            **{f"gmacs {name}": f"{value:.4f}" for name, value in entry["gmacs"].items()},
            "printed": {name: f"{c['printed']} ({c['convention'] if c['agrees'] else 'no convention agrees'})"
                        for name, c in entry["cells"].items()},
        }
        for entry in entries
    ]  # fmt: skip
    if lines or not growths:
        print_rows(lines, ("id", "params_m", "gmacs fvcore", "gmacs matmul", "gmacs thop", "printed"), args.format)
    if growths:
        if args.format == "table":
            print(
                "\n" * bool(lines)
                + "pairs of tokens that attend to each other, N places in T frames, fitted to counted MACs:"
            )
        print_rows(growths, ("id", "attention", "measured", "printed"), args.format)
    if args.set and args.format == "table":
        print(f"\nchanged by --set {' '.join(args.set)}; the printed cells are of the rows as they are")
    return 0


def _plan_options(parser: Parser) -> None:
    _selectors(parser)
    _format(parser)
    _scale(parser, "mini")
    _seeds(parser)
    _folders(parser)


def _plan(args: argparse.Namespace) -> int:
    rows, settings = _rows(args), _settings(args)
    from vtbench.run.plan import plan

    entries = plan(rows, settings, args.scale, args.seeds)
    if args.format == "json":
        print_json(entries)
        return 0
    lines = [{**entry, "gmacs": None if entry["macs"] is None else entry["macs"] / 1e9} for entry in entries]
    columns = ("state", "training", "title", "seed", "needs", "gmacs", "seconds", "blocked_by")
    print_rows(lines, columns, args.format)
    if args.format == "table":
        states = [entry["state"] for entry in entries]
        counts = ", ".join(f"{states.count(state)} {state}" for state in ("done", "to do", "blocked"))
        left = [entry for entry in entries if entry["state"] == "to do"]
        work = f"{sum(entry['macs'] or 0 for entry in left):.3g} MACs to do"
        seconds = [entry["seconds"] for entry in left if entry["seconds"] is not None]
        time = f", about {sum(seconds) / 60:.0f} min on one process" if seconds else ""
        print(f"\n{len(entries)} distinct trainings at {args.scale} scale: {counts}; {work}{time}")
    return 0


def _run_options(parser: Parser) -> None:
    _selectors(parser)
    _scale(parser, "mini")
    _seeds(parser)
    _folders(parser)
    _machine(parser)
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--again", action="store_true", help="train and test anew what is done already")
    again.add_argument("--test-again", action="store_true", help="test anew the weights that are there")
    parser.add_argument("--workers", type=_positive, metavar="N", help="trainings side by side")
    parser.add_argument("--wandb", choices=("off", "offline", "online"), default="off", help="default: off")


def _run(args: argparse.Namespace) -> int:
    rows, settings = _rows(args), _settings(args)
    from vtbench.cli.progress import TerminalDisplay
    from vtbench.run import launch

    outcome = launch.run(
        rows,
        settings,
        args.scale,
        args.seeds,
        again=args.again,
        test_again=args.test_again,
        workers=args.workers,
        display=TerminalDisplay(),
    )
    for failure in outcome.failed:
        _complain(f"{failure.title}: {failure.reason}")
    lines = f"{len(outcome.written)} results written to {settings.results / 'results.csv'}"
    print(f"{lines}, {outcome.already} there already, {len(outcome.failed)} failed")
    return max((failure.exit_code for failure in outcome.failed), default=0)


def _eval_options(parser: Parser) -> None:
    _selectors(parser)
    _format(parser)
    _scale(parser, "paper")
    _set(parser)
    _folders(parser)
    _machine(parser)
    parser.add_argument("--checkpoint", required=True, metavar="FILE", help="weights, ours or an official checkpoint")


def _eval(args: argparse.Namespace) -> int:
    from pathlib import Path

    if not args.selectors:
        raise UsageError("eval needs a selector: the rows whose test protocol is applied")
    rows, settings = _rows(args), _settings(args)
    from vtbench.cli.progress import TerminalDisplay
    from vtbench.papers.spec.cells import ACCURACIES
    from vtbench.run import launch

    records = launch.evaluate_checkpoint(rows, settings, args.scale, Path(args.checkpoint), TerminalDisplay())
    own = [name for name in dict.fromkeys(name for r in records for name in r.all_measured()) if name not in ACCURACIES]
    columns = ("id", "measurement", *ACCURACIES, *own, "videos_expected", "videos_failed", "evaluation_key")
    lines = [{**r.model_dump(include=set(columns)), **r.all_measured()} for r in records]
    print_rows(lines, columns, args.format)
    if args.format == "table":
        from vtbench.results import folders

        done = [folders.evaluation_folder(settings.results, r.evaluation_key) / folders.DONE for r in records]
        for loaded in sorted({folders.read_json(path).get("loaded", "") for path in done} - {""}):
            print(f"\n{args.checkpoint}: {loaded}")
    return 0


SPEED_WORDS = {
    "latency": ("latency_ms",),
    "throughput": ("throughput_vps",),
    "memory": ("memory_gb",),
    "train": ("train_step_ms", "train_memory_gb"),
}


def _speed_words(text: str) -> tuple[str, ...]:
    words = text.split(",")
    for word in words:
        if word not in SPEED_WORDS:
            raise argparse.ArgumentTypeError(f"no measurement '{word}'{did_you_mean(word, SPEED_WORDS)}")
    return tuple(metric for word, metrics in SPEED_WORDS.items() for metric in metrics if word in words)


def _speed_options(parser: Parser) -> None:
    _selectors(parser)
    _format(parser)
    _scale(parser, "paper")
    parser.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda or cuda:N; default: auto")
    precisions = ("32-true", "16-mixed", "bf16-mixed")
    parser.add_argument("--precision", choices=precisions, default="32-true", help="default: 32-true")
    parser.add_argument("--rounds", type=_positive, default=10, metavar="N", help="turns of each network; default: 10")
    threads = "CPU threads; default: torch's at paper scale, 1 below it, as in `run`"
    parser.add_argument("--threads", type=_positive, metavar="N", help=threads)
    parser.add_argument("--against", metavar="ROW", help="the baseline of all rows; default: the spec's `baseline`")
    only = ",".join(SPEED_WORDS)
    parser.add_argument("--only", type=_speed_words, metavar="WHAT", help=f"some of {only}; default: all")
    parser.add_argument(
        "--throughput-batch", type=_positive, default=4, metavar="N", help="clips per pass of throughput; default: 4"
    )
    parser.add_argument(
        "--train-batch", type=_positive, default=1, metavar="N", help="clips per training step; default: 1"
    )
    _results(parser)


def _speed(args: argparse.Namespace) -> int:
    if not args.selectors:
        raise UsageError("speed needs a selector: the rows whose networks are measured")
    rows, settings = _rows(args), _settings(args)
    from vtbench.papers.spec.cells import SPEEDS
    from vtbench.results.store import SpeedStore
    from vtbench.run import speed

    machine = speed.machine(args.device, args.precision, args.threads or (None if args.scale == "paper" else 1))
    wanted = speed.Wanted(machine, args.only or SPEEDS, args.rounds, args.throughput_batch, args.train_batch)
    store = SpeedStore(settings.results)

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    try:
        outcome = speed.measure(rows, store, args.scale, wanted, against=args.against, tell=tell)
    except KeyboardInterrupt:
        there = f"what was measured until then is in {store.path}"
        _complain(f"interrupted; {there if store.path.exists() else 'nothing was measured yet'}")
        return 1
    if args.format in ("json", "csv"):
        print_rows([line.model_dump() for line in outcome.written], store.record.columns(), args.format)
    elif outcome.written:
        entries = speed.side_by_side(outcome.written)
        print_rows(entries, list(dict.fromkeys(name for entry in entries for name in entry)), args.format)
        if args.format == "table":
            print(f"\n{speed.conditions(outcome.written)}")
            print(f"{len(outcome.written)} lines written to {store.path}")
    for line in (*outcome.notes, *outcome.failed):
        _complain(line)
    return 1 if outcome.failed else 0


def _report_options(parser: Parser) -> None:
    _selectors(parser)
    _format(parser)
    from vtbench.scales import smallest_first

    what = "only this scale; default: every scale (table, md: every measured one)"
    parser.add_argument("--scale", choices=smallest_first(), help=what)
    parser.add_argument(
        "--with-outside",
        action="store_true",
        help="below each table, the rows of included folders that are `like` one of its rows",
    )
    _results(parser)


def _report(args: argparse.Namespace) -> int:
    rows, settings = _rows(args), _settings(args)
    from vtbench.report.report import print_report

    return print_report(rows, settings.results, args.scale, args.format, outside=args.with_outside)


def _data_options(parser: Parser) -> None:
    parser.add_argument("action", choices=("prepare",), help="prepare: encode the videos of a folder anew")
    parser.add_argument("source", metavar="SOURCE", help="folder of videos, with or without lists (path,label)")
    parser.add_argument("target", metavar="TARGET", help="folder for the new files, and lists of them")
    parser.add_argument(
        "--mpeg4",
        action="store_true",
        help="as MPEG-4, 340 x 256, an I-frame every 12 frames, no B-frames: what compressed-video methods read",
    )
    parser.add_argument("--workers", type=_positive, default=1, metavar="N", help="processes side by side; default: 1")


def _data(args: argparse.Namespace) -> int:
    if not args.mpeg4:
        raise UsageError("data prepare needs --mpeg4: the one encoding that there is")
    from vtbench.datasets.reencode import reencode_mpeg4

    done = reencode_mpeg4(args.source, args.target, workers=args.workers, report=_complain)
    print(f"{done.encoded} videos encoded, {done.kept} there already, {len(done.failed)} failed")
    for manifest in done.manifests:
        print(f"list written: {manifest}")
    return 1 if done.failed else 0


# ---- main ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Command:
    """One verb of the command line."""

    what: str
    options: Callable[[Parser], None]
    call: Callable[[argparse.Namespace], int]


COMMANDS = {
    "list": Command("the rows, their printed numbers and trainings", _list_options, _list),
    "show": Command("every setting of a row: value, source, and what it is at a smaller scale", _show_options, _show),
    "check": Command("whether every spec file says only what it may, with a source", _check_options, _check),
    "cost": Command("parameters and multiply-adds of each row's network", _cost_options, _cost),
    "plan": Command("the distinct trainings: done, to do, blocked, and how much work", _plan_options, _plan),
    "run": Command("train and test what has no result yet", _run_options, _run),
    "eval": Command("a row's test protocol on given weights", _eval_options, _eval),
    "speed": Command("latency, throughput and memory of each row's network, as ratios", _speed_options, _speed),
    "report": Command("published and measured side by side", _report_options, _report),
    "data": Command("encode videos anew, as compressed-video methods read them", _data_options, _data),
}


def _help() -> str:
    lines = [f"  {name:<8}{command.what}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: vtbench COMMAND [SEL ...] [options]",
            "",
            "Every results table of four video-transformer papers as something that runs.",
            "",
            *lines,
            "",
            f"SEL selects {SELECTORS}.",
            "Options of a command: vtbench COMMAND --help. Version: vtbench --version.",
            "Exit codes: 0 all asked for is done; 1 something failed to run; 2 wrong usage or wrong input.",
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code. Errors that a user can mend are one line on stderr, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that knows few letters loses none of the others
    try:
        code = _main(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return code
    except VtbenchError as error:
        more = len(getattr(error, "others", ()))
        several = f" ({more} more problem{'s' if more > 1 else ''}: see `vtbench check`)" if more else ""
        _complain(f"{error}{several}")
        return error.exit_code
    except KeyboardInterrupt:
        again = {"--again", "--test-again"} & set(sys.argv[1:] if argv is None else argv)
        without = f" without {again.pop()}" if again else ""
        _complain(f"interrupted; the same command{without} goes on from what is finished")
        return 1
    except BrokenPipeError:  # the reader of our output (head, less) has gone; Python would complain when it flushes
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        _complain(f"{error.filename or 'input or output'}: {error.strerror or error}")
        return 1


def _main(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(_help())
        return 0 if argv else 2
    if argv[0] == "--version":
        print(f"vtbench {__version__}")
        return 0
    if argv[0] not in COMMANDS:
        raise UsageError(f"no command '{argv[0]}'{did_you_mean(argv[0], COMMANDS)}")
    command = COMMANDS[argv[0]]
    parser = Parser(prog=f"vtbench {argv[0]}", description=command.what, allow_abbrev=False)
    command.options(parser)
    try:
        args = parser.parse_intermixed_args(argv[1:])
    except SystemExit as end:  # --help has printed itself
        return int(end.code or 0)
    if "include" in args:
        from vtbench.run.settings import include_folders

        include_folders(args.include)
    return command.call(args)


def _complain(message: str) -> None:
    print(f"vtbench: {printable(message)}", file=sys.stderr)
