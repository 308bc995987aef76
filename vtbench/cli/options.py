"""The options that several verbs share, and the rows and settings that they stand for."""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from vtbench import fields, files
from vtbench.errors import UsageError, unknown
from vtbench.report.printing import FORMATS
from vtbench.scales import smallest_first

if TYPE_CHECKING:
    from vtbench.papers import Row
    from vtbench.report.wandb.target import Artifacts, Mode, Target
    from vtbench.run.engine import Engine
    from vtbench.run.settings import Settings

MAX_SEED = 2**32 - 1
"""The highest seed that numpy and Lightning take."""
MOST_SEEDS = 1000
"""Seeds that one command takes. Each is a training run of its own."""

SELECTORS = (
    '"msca", "msca/table2" or "msca/table2:msca-kv", or only one of their measurements, as in '
    '"pst/table3:pst-t-in1k-1x1@sthv2"; several may be given; "all" is every row'
)
"""How SEL selects rows, for the help."""


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises UsageError, which is printed as one line like any other error.

    `families` has, by a prefix such as "--slurm-", the action of any option that begins with it.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.families: dict[str, type[argparse.Action]] = {}

    def parse_intermixed_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> Any:
        """As argparse does it, with the options of families that the arguments hold."""
        words = list(args or ())
        for name in dict.fromkeys(word.partition("=")[0] for word in words):
            action = next((action for prefix, action in self.families.items() if name.startswith(prefix)), None)
            if action is not None and name not in self._option_string_actions:
                self.add_argument(name, action=action, help=argparse.SUPPRESS)
        return super().parse_intermixed_args(words, namespace)

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print."""
        raise UsageError(f"{message}; see {self.prog} --help")


# ---- options ---------------------------------------------------------------------------------------------------------


def add_selectors(parser: Parser, without: str = "default: all") -> None:
    """SEL ... and --include: which rows. `without`: what the verb does without SEL, for the help."""
    parser.add_argument("selectors", nargs="*", metavar="SEL", help=f"rows: {SELECTORS}; {without}")
    add_include(parser)


def add_include(parser: Parser) -> None:
    """--include."""
    parser.add_argument(
        "--include",
        action="append",
        default=[],
        metavar="DIR",
        help="folder with your own benchmarks/ or data_manifests/; may be repeated; or `include` in vtbench.yaml",
    )


def add_format(parser: Parser, *more: str) -> None:
    """--format, with the formats that the verb has besides."""
    choices = one_of("format", (*FORMATS, *more))
    parser.add_argument("--format", **choices, default="table", help="output format; default: table")


def add_scale(parser: Parser, default: str) -> None:
    """--scale."""
    parser.add_argument(
        "--scale",
        **one_of("scale", smallest_first()),
        default=default,
        help=f"size of the experiment: paper is the printed recipe; default: {default}",
    )


def add_seeds(parser: Parser) -> None:
    """--seeds and --seed."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--seeds", type=seed_list, metavar="N,N,...", help="such as 0,1,2 or 0-2; default: 0")
    group.add_argument("--seed", type=seed_list, dest="seeds", metavar="N", help="the same as --seeds N")
    parser.set_defaults(seeds=[0])


def add_changes(parser: Parser) -> None:
    """--variant and --set."""
    parser.add_argument(
        "--variant",
        action="append",
        default=[],
        metavar="NAME",
        help="take an alternative that the paper's decisions name, such as official-code; rows without it are left "
        "out; may be repeated (`vtbench decisions` lists them)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a setting of the rows, such as train.lr=0.05 or model.first=next; may be repeated. What is "
        "measured with --variant or --set is never the row's own result",
    )


def add_init(parser: Parser) -> None:
    """--init."""
    parser.add_argument(
        "--init",
        action="append",
        default=[],
        metavar="ROW=FILE",
        help="start from these weights in place of the training of ROW (paper/table:row, with @measurement where that "
        "is meant), e.g. from a released checkpoint; may be repeated. What is measured so is not the row's own result",
    )


def add_results(parser: Parser) -> None:
    """--results."""
    parser.add_argument("--results", metavar="DIR", help="folder of results.csv and the run folders; default: results")


def add_data(parser: Parser) -> None:
    """--data and --missing."""
    parser.add_argument(
        "--data", action="append", default=[], metavar="NAME=PATH", help="folder of a data set; may be repeated"
    )
    add_missing(parser)


def add_missing(parser: Parser) -> None:
    """--missing."""
    parser.add_argument(
        "--missing",
        type=share,
        metavar="SHARE",
        help="share of the listed videos of a split that may be missing or unreadable, as 0.1; default: 0.01",
    )


def add_folders(parser: Parser) -> None:
    """--results, --data, --missing and --weights."""
    add_results(parser)
    add_data(parser)
    add_weights(parser)


def add_weights(parser: Parser) -> None:
    """--weights and --allow-other-weights."""
    parser.add_argument(
        "--weights",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="file of pretrained weights; may be repeated",
    )
    parser.add_argument(
        "--allow-other-weights",
        action="store_true",
        help="use given weights that are not the release of their name, and record which they are",
    )


def add_wandb_place(parser: Parser) -> None:
    """--wandb-project, --wandb-entity."""
    parser.add_argument("--wandb-project", metavar="NAME", help="project on W&B; default: $WANDB_PROJECT, else vtbench")
    parser.add_argument(
        "--wandb-entity", metavar="NAME", help="user or team on W&B; default: $WANDB_ENTITY, else that of the login"
    )


def add_wandb_tags(parser: Parser) -> None:
    """--wandb-tags."""
    parser.add_argument(
        "--wandb-tags", type=words, default=[], metavar="TAG,TAG", help="tags that every run gets, besides its own"
    )


def add_wandb_artifacts(parser: Parser) -> None:
    """--wandb-artifacts."""
    parser.add_argument(
        "--wandb-artifacts",
        **one_of("kind of artifacts", ("all", "scores", "none")),
        default="all",
        help="files that go to W&B with each result: weights and scores, scores alone, or none; default: all",
    )


def words(text: str) -> list[str]:
    """The distinct words of "a,b", as an argparse type."""
    return list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def one_of(kind: str, choices: Iterable[str]) -> dict[str, Any]:
    """What add_argument needs for an option with these choices; another word is an unknown name of this kind."""
    known = tuple(choices)

    def name(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(unknown(kind, text, known))
        return text

    return {"type": name, "metavar": f"{{{','.join(known)}}}"}


def positive(text: str) -> int:
    """A whole number above 0, as an argparse type."""
    number = fields.whole_number(text)
    if not number:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return number


def whole_number(text: str) -> int:
    """A whole number from 0, as an argparse type."""
    number = fields.whole_number(text)
    if number is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return number


def share(text: str) -> float:
    """A number from 0 to 1, as an argparse type."""
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0 to 1")
    return value


def minutes(text: str) -> float:
    """A number of minutes from 0, as an argparse type."""
    value = _number(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of minutes from 0")
    return value


def _number(text: str) -> float:
    """The number that a text spells in ASCII; NaN for any other text."""
    try:
        return float(text) if text.isascii() else math.nan
    except ValueError:
        return math.nan


def seed_list(text: str) -> list[int]:
    """The distinct seeds of "0,1,2" or "0-2", as an argparse type."""
    return list(dict.fromkeys(_seeds(text)))


def different_seeds(text: str) -> list[int]:
    """As `seed_list`, for seeds that are paired with others: none may be named twice."""
    seeds = _seeds(text)
    if twice := [seed for seed in dict.fromkeys(seeds) if seeds.count(seed) > 1]:
        raise argparse.ArgumentTypeError(f"{text!r} names seed {twice[0]} more than once; name each seed once")
    return seeds


def _seeds(text: str) -> list[int]:
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        begin, end = fields.whole_number(first), fields.whole_number(last if dash else first)
        if begin is None or end is None or end < begin:
            raise argparse.ArgumentTypeError(f"{text!r} is not a list of seeds such as 0,1,2 or 0-2")
        if end > MAX_SEED:
            raise argparse.ArgumentTypeError(f"{text!r}: the highest seed is {MAX_SEED}")
        if len(seeds) + end - begin >= MOST_SEEDS:
            raise argparse.ArgumentTypeError(f"{text!r} names more than {MOST_SEEDS} seeds; name fewer")
        seeds.extend(range(begin, end + 1))
    return seeds


# ---- what they stand for ---------------------------------------------------------------------------------------------


def selected_rows(args: argparse.Namespace) -> list[Row]:
    """The rows that SEL names, with what --variant and --set change. Raises UsageError for a selector or a key of
    nothing."""
    from vtbench.papers import select

    rows = select(args.selectors)
    variants, settings = getattr(args, "variant", []), getattr(args, "set", [])
    if variants or settings:
        from vtbench.papers.override import changed_rows

        rows = changed_rows(rows, variants, settings)
    if starts := _starts(args):
        from vtbench.papers.override import with_starts

        rows = with_starts(rows, {row: name for row, (name, _) in starts.items()}, args.scale)
    return rows


def one_row(selector: str, variants: Sequence[str] = (), settings: Sequence[str] = ()) -> Row:
    """The row that a selector names, with what --variant and --set change. Raises UsageError for a selector of several
    rows, and as `selected_rows`."""
    from vtbench.papers import select
    from vtbench.papers.override import changed_rows

    rows = select([selector])
    if len(rows) > 1:
        raise UsageError(f"{selector} names {len(rows)} rows; name one, as {rows[0].id}")
    return changed_rows(rows, variants, settings)[0] if variants or settings else rows[0]


def _starts(args: argparse.Namespace) -> dict[str, tuple[str, Path]]:
    """Row of --init -> name and file of its weights. The name holds the first digits of the file's SHA-256, which is
    computed once for a command."""
    if "starts" in args:
        return args.starts
    starts = {}
    for text in getattr(args, "init", []):
        row, equals, file = text.partition("=")
        if not (row and equals and file):
            raise UsageError(f"--init {text}: must be ROW=FILE")
        path = files.given_path(file, f"--init {row}")
        if reason := files.why_no_file(path):
            raise UsageError(f"--init {row}: {path}: {reason}; give a file of weights")
        try:
            sha256 = files.sha256(path)
        except OSError as error:
            raise UsageError(f"--init {row}: {path}: cannot be read: {error.strerror}") from error
        starts[row] = f"{row}@sha256-{sha256[:8]}", path
    args.starts = starts
    return starts


def engine_of(args: argparse.Namespace) -> Engine:
    """Devices and what they compute in, of those of the options that the verb has, and of what torchrun or srun
    started."""
    from vtbench.run.engine import Engine, from_launcher

    if "devices" not in args:  # another verb's --precision is its own
        return Engine()
    given = {field.name: vars(args).get(field.name) for field in dataclasses.fields(Engine)}
    engine = Engine(**{name: value for name, value in given.items() if value is not None})
    # SLURM starts a process on every machine, and none is needed here.
    return engine if getattr(args, "engine", "local") == "slurm" else from_launcher(engine)


def settings_of(args: argparse.Namespace) -> Settings:
    """Folders, weights and machine, from those of the options that the verb has, else from vtbench.yaml."""
    from vtbench.run.settings import load_settings

    options = vars(args)
    made = load_settings(
        results=options.get("results"),
        data=options.get("data", ()),
        weights=options.get("weights", ()),
        allow_other_weights=options.get("allow_other_weights", False),
        batch_size=options.get("batch_size"),
        engine=engine_of(args),
        num_workers=options.get("data_workers"),
        missing=options.get("missing"),
        wandb=_wandb_of_run(args),
        loggers=options.get("logger", ()),
        log_every=options.get("log_every"),
        checkpoint_minutes=options.get("checkpoint_minutes"),
        allow_changed_code=options.get("allow_changed_code", False),
    )
    given = dict(_starts(args).values())
    return dataclasses.replace(made, weights={**made.weights, **given}) if given else made


def results_of(args: argparse.Namespace) -> Path:
    """The results folder, for a verb that only reads it. Raises UsageError for a folder given as --results that is not
    there; the folder of vtbench.yaml or of the default may not be made yet, which is no results."""
    folder, given = settings_of(args).results, args.results
    if given is not None and not (given and folder.is_dir()):
        what = "is not a folder" if given and folder.exists() else "no such folder"
        raise UsageError(f"--results {given or repr(given)}: {what}; give the folder of a results.csv")
    return folder


def _wandb_of_run(args: argparse.Namespace) -> Target | None:
    """Where --wandb and --logger wandb, of training runs alone, say that `run` logs."""
    mode: Literal["off", "offline", "online"] = getattr(args, "wandb", "off")
    if mode == "off" and "wandb" in getattr(args, "logger", ()):
        return wandb_target(args, None, results=False)
    if mode == "off":
        given = [name for name in ("project", "entity", "tags") if getattr(args, f"wandb_{name}", None)]
        given += ["artifacts"] if getattr(args, "wandb_artifacts", "all") != "all" else []
        if given and "wandb" in args:  # not of the actions of `vtbench wandb`, which log nothing
            raise UsageError(f"--wandb-{given[0]} needs --wandb online or offline, or --logger wandb")
        return None
    return wandb_target(args, mode)


def wandb_target(args: argparse.Namespace, mode: Mode | None, *, results: bool = True) -> Target:
    """Where --wandb-... and the environment say that runs go; without a `mode`, $WANDB_MODE, else online."""
    from vtbench.report.wandb.target import target

    artifacts: Artifacts = getattr(args, "wandb_artifacts", "all")
    tags: Sequence[str] = getattr(args, "wandb_tags", ())
    return target(mode, args.wandb_project, args.wandb_entity, tags, artifacts, results)
