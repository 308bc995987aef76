"""The options that say what the machine can take, and how a training is spread over it."""

from __future__ import annotations

from typing import Literal

from vtbench.cli.options import Parser, minutes, one_of, positive


def add_machine(parser: Parser) -> None:
    """--batch-size, --devices, --data-workers, and what is computed in."""
    add_devices(parser)
    _add_arithmetic(parser)


def add_devices(parser: Parser) -> None:
    """--batch-size, --devices and --data-workers."""
    parser.add_argument(
        "--batch-size",
        type=_batch_size,
        metavar="N",
        help="clips per forward pass of a device; the batch per update stays as close to the recipe's as whole passes "
        "allow; auto: as many as fit into its memory",
    )
    parser.add_argument(
        "--devices", type=positive, metavar="N", help="GPUs, or processes on a CPU, of one training; default: 1"
    )
    parser.add_argument(
        "--data-workers",
        type=positive,
        metavar="N",
        help="processes that read videos for each device, at lab and paper scale; default: 4",
    )


def add_training(parser: Parser) -> None:
    """--num-nodes, --accumulate and --grad-checkpointing."""
    add_update(parser)
    parser.add_argument(
        "--grad-checkpointing",
        action="store_true",
        help="compute the blocks of a network twice rather than keep them in memory for the backward pass",
    )


def add_update(parser: Parser) -> None:
    """--num-nodes and --accumulate: what else an update is shared out to."""
    parser.add_argument(
        "--num-nodes",
        type=positive,
        metavar="N",
        help="machines of one training, under torchrun or srun or with --engine slurm; default: 1",
    )
    parser.add_argument(
        "--accumulate",
        type=positive,
        metavar="N",
        help="forward passes per update; default: as many as the batch per update needs",
    )


def add_workers(parser: Parser) -> None:
    """--workers."""
    parser.add_argument(
        "--workers",
        type=positive,
        metavar="N",
        help="training runs side by side; default: the number of cores, 1 at lab and paper scale, all with SLURM",
    )


def add_checkpoints(parser: Parser) -> None:
    """--checkpoint-minutes and --allow-changed-code: how a training run is kept and resumed."""
    parser.add_argument(
        "--checkpoint-minutes",
        type=minutes,
        metavar="N",
        help="minutes between two checkpoints inside an epoch; 0: only at its end; default: 30",
    )
    parser.add_argument(
        "--allow-changed-code",
        action="store_true",
        help="resume training runs that other code began, and record both",
    )


def _add_arithmetic(parser: Parser) -> None:
    """--strategy, --precision, --compile, --matmul-precision and --benchmark."""
    from vtbench.run.engine import MATMUL_PRECISIONS, PRECISIONS, STRATEGIES

    parser.add_argument(
        "--strategy",
        **one_of("strategy", STRATEGIES),
        help="how Lightning spreads a training over devices; default: auto, which is ddp",
    )
    parser.add_argument(
        "--precision",
        **one_of("precision", PRECISIONS),
        help="arithmetic of training and test in place of the recipe's; recorded, and named by the report",
    )
    parser.add_argument("--compile", action="store_true", help="compile the network with torch.compile")
    parser.add_argument(
        "--matmul-precision",
        **one_of("precision of matrix products", MATMUL_PRECISIONS),
        help="of float32 products on a GPU, as torch.set_float32_matmul_precision takes it; default: highest",
    )
    parser.add_argument("--benchmark", action="store_true", help="have cuDNN try its algorithms and take the fastest")


def _batch_size(text: str) -> int | Literal["auto"]:
    """A whole number above 0, or auto, as an argparse type."""
    return "auto" if text == "auto" else positive(text)
