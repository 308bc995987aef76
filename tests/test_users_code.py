"""What code of the user's may do when it runs: build networks of any kind, and fail in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lab
import pytest

from vtbench.cli import main
from vtbench.datasets import data_class
from vtbench.errors import SpecError, VtbenchError
from vtbench.papers import Measurement, measurements, select
from vtbench.papers.resolve import network_of
from vtbench.results import folders
from vtbench.results.store import Store
from vtbench.run.assemble import assemble
from vtbench.run.evaluate import evaluate
from vtbench.run.jobs import launch
from vtbench.run.measuring.cost import clip_macs
from vtbench.run.network import impossible
from vtbench.run.settings import Settings
from vtbench.run.train import train

OwnPaper = Callable[..., Path]
Capture = pytest.CaptureFixture[str]

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning")

TABLE = """\
caption: A table
source: {table: 1}
defaults:
  data: {dataset: cycle, num_frames: 4, stride: 8, size: 24, limit_train: 8, limit_test: 4}
  augment: {short_side: [25, 28], flip: 0.0, interpolation: bilinear, mean: 0.5, std: 0.5}
  model: {name: "a_net:Net"}
  init: {scratch: true}
  train:
    {method: pst, optimizer: adamw, lr: 0.001, weight_decay: 0.05, epochs: 1, warmup_epochs: 0.0, schedule: cosine,
     batch_size: 4, accumulate: 1, label_smoothing: 0.0, precision: 32-true}
  eval: {clips: 1, crops: 1, clip_sampling: uniform, short_side: 24, average: logits}
"""
NET = """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, *, num_classes, num_frames, img_size{arguments}):
        super().__init__()
        self.{body} = nn.Linear(3, 8)
        self.head = nn.Linear(8, num_classes)
        {init}

    def forward(self, clips):
        features = self.{body}(clips.mean((1, 3, 4)))
        {forward}
        return self.head(features)
"""


def net(*, arguments: str = "", body: str = "body", init: str = "pass", forward: str = "pass") -> str:
    return NET.format(arguments=f", {arguments}" if arguments else "", body=body, init=init, forward=forward)


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


Prepared = Callable[..., list[Measurement]]


@pytest.fixture
def prepared(own_paper: OwnPaper) -> Prepared:
    """prepared(rows, source=..., own=...): what the rows measure at mini scale, with modules a_net and own."""

    def write(rows: str = "", *, source: str | None = None, own: str = "") -> list[Measurement]:
        folder = own_paper(rows or "  - {id: one, label: One}\n", defaults=TABLE)
        (folder / "a_net.py").write_text(net() if source is None else source)
        (folder / "own.py").write_text(own)
        return [m for row in select(["lab"]) for m in measurements(row, "mini")]

    return write


def ran(measurement: Measurement) -> dict[str, Any]:
    """What training and testing gives, in this process."""
    settings = Settings(results=Path("results"))
    evaluation = measurement.evaluation
    assert impossible(evaluation.training, [evaluation]) is None
    for training in (*evaluation.training.ancestors(), evaluation.training):
        train(training, settings)
    return evaluate(evaluation, settings)


@pytest.mark.parametrize(
    "source",
    [
        net(body="network"),  # what a checkpoint of Lightning's would be stripped of
        net(body="module"),  # what DistributedDataParallel puts in front
        net(init="self.alias = self.body"),  # one weight under two names
        net(init="self.register_buffer('table', self.head.weight.data[0])"),  # a view of another tensor
        net(init="self.scale = float(torch.ones(1).sum())"),  # cannot be built on the meta device
        net(forward="features = features * float(features.sum() * 0 + 1)"),  # cannot run there
        net(forward="features = torch.from_numpy(features.detach().numpy()) + features"),
    ],
    ids=["network", "module", "tied", "view", "meta build", "item", "numpy"],
)
def test_networks_of_any_kind_are_trained_kept_and_tested(prepared: Prepared, source: str) -> None:
    (measurement,) = prepared(source=source)
    done = ran(measurement)
    assert done["metrics"]["top1"] >= 0 and "nothing missing" in done["loaded"]
    assert clip_macs(measurement.evaluation.training.network) > 0


def test_arguments_can_be_lists_and_keys(prepared: Prepared) -> None:
    rows = "  - {id: one, label: One, model: {widths: [8, 16], options: {a: [1, {b: 2}]}}}\n"
    rows += "  - {id: two, label: Two, model: {widths: [8, 16], options: {a: [1, {b: 2}]}}}\n"
    source = net(arguments="widths, options=None", init="widths.append(3); options['a'][1]['b'] = 0")
    one, two = prepared(rows, source=source)
    assert one.evaluation.key == two.evaluation.key
    networks_ = [network_of(row, "mini") for row in select(["lab"])]
    assert networks_[0] == networks_[1] and hash(networks_[0]) == hash(networks_[1])
    assert ran(one)["metrics"]["top1"] >= 0
    assert one.evaluation.training.model.arguments["widths"] == [8, 16]  # what a builder does to them is its own


def test_a_start_leaves_the_head_out_and_takes_the_rest_by_name(prepared: Prepared) -> None:
    rows = "  - {id: one, label: One}\n"
    rows += '  - {id: two, label: Two, data: {dataset: stills}, init: {row: "lab/table1:one"}}\n'
    _, two = prepared(rows, source=net(body="network"))
    ran(two)
    settings = Settings(results=Path("results"))
    parts = assemble(two.evaluation.training, settings)
    network = parts.network
    head = network.head.weight.clone()  # type: ignore[union-attr,operator]
    parts.load_start()
    start = two.evaluation.training.ancestors()[0]
    from safetensors.torch import load_file

    weights = load_file(folders.training_folder(settings.results, start.key) / folders.WEIGHTS)
    assert (network.network.weight == weights["network.weight"]).all()  # type: ignore[union-attr]
    assert (network.head.weight == head).all()  # type: ignore[union-attr]


def test_a_head_of_another_name_is_reported_where_classes_differ(prepared: Prepared) -> None:
    rows = "  - {id: one, label: One}\n"
    rows += '  - {id: two, label: Two, data: {dataset: stills}, init: {row: "lab/table1:one"}}\n'
    _, two = prepared(rows, source=net().replace("self.head", "self.classifier"))
    with pytest.raises(VtbenchError, match="a start leaves out the classification layer where it is called `head`"):
        ran(two)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (net(forward="raise KeyError('boom')"), r"KeyError: 'boom' \(.*/lab/a_net\.py:14\); repair its forward"),
        (net(forward="import sys; sys.exit(3)"), r"SystemExit: 3 \(.*/lab/a_net\.py:14\); repair its forward"),
        (net(init="import sys; sys.exit(3)"), r"SystemExit: 3 \(.*/lab/a_net\.py:10\); change the model block"),
        (
            net(init="raise ValueError('3 heads')"),
            r"ValueError: 3 heads \(.*/lab/a_net\.py:10\); change the model block",
        ),
        (
            net(forward="return features"),
            r"it gives shape \(2, 8\); logits \(2, 4\) are wanted, one for each of num_cl",
        ),
        (net(forward="return self.head(features)[:1]"), r"it gives shape \(1, 4\); logits \(2, 4\) are wanted"),
        (net(forward="return (features,)"), r"it gives a tuple; logits \(2, 4\) are wanted"),
        (net(init="self.lazy = nn.LazyLinear(3)"), "holds lazy.weight, which is not a tensor of known shape"),
        (
            net().replace(
                "    def forward", "    def get_extra_state(self):\n        return {'a': 1}\n\n    def forward"
            ),
            "holds _extra_state, which is not a tensor of known shape",
        ),
    ],
)
def test_a_network_that_cannot_be_trained_is_found_before_it_is(prepared: Prepared, source: str, message: str) -> None:
    (measurement,) = prepared(source=source)
    why = impossible(measurement.evaluation.training, [measurement.evaluation])
    with pytest.raises(SpecError, match=r"^model a_net:Net: .*" + message):
        raise SpecError(str(why))
    assert "\n" not in str(why)


METHOD = """\
import sys
from vtbench.methods.base import ScheduledClassifier


class Fit(ScheduledClassifier):
    def {hook}:
        {body}
"""


@pytest.mark.parametrize(
    ("hook", "body", "message"),
    [
        (
            "training_step(self, batch, index)",
            "raise KeyError('boom')",
            r"KeyError: 'boom' \(traceback in .*error\.txt\)",
        ),
        ("training_step(self, batch, index)", "sys.exit(3)", r"SystemExit: 3 \(traceback in .*error\.txt\)"),
        ("configure_optimizers(self)", "raise TypeError('boom')", r"TypeError: boom \(traceback in .*error\.txt\)"),
        ("on_fit_end(self)", "raise TypeError('boom')", r"TypeError: boom \(traceback in .*error\.txt\)"),
        (
            "__init__(self, network, **options)",
            "raise TypeError('boom')",
            r"^method own:Fit: TypeError: boom \(.*own\.py:7",
        ),
        ("log(self, *given, **options)", "pass", "the method logged no train_loss; log it in training_step"),
    ],
)
def test_a_method_that_fails_is_one_line(prepared: Prepared, hook: str, body: str, message: str) -> None:
    rows = '  - {id: one, label: One, train: {method: "own:Fit"}}\n'
    (measurement,) = prepared(rows, own=METHOD.format(hook=hook, body=body))
    with pytest.raises(VtbenchError, match=message) as caught:
        ran(measurement)
    assert "\n" not in str(caught.value)


PLAIN = """\
from torch.optim import SGD
from vtbench.methods.base import VideoClassifier


class Plain(VideoClassifier):
    def __init__(self, network, *, lr: float, epochs: int, nesterov: bool = False):
        super().__init__(network)
        self.lr, self.nesterov = lr, nesterov

    def configure_optimizers(self):
        return SGD(self.parameters(), lr=self.lr, momentum=0.9, nesterov=self.nesterov)
"""


def test_a_method_takes_what_its_init_names_and_nothing_else(prepared: Prepared) -> None:
    without = "optimizer: null, weight_decay: null, warmup_epochs: null, schedule: null, label_smoothing: null"
    rows = f'  - {{id: one, label: One, train: {{method: "own:Plain", nesterov: true, {without}}}}}\n'
    (measurement,) = prepared(rows, own=PLAIN)
    assert measurement.evaluation.training.train.arguments == {"nesterov": True}
    assert ran(measurement)["metrics"]["top1"] >= 0


DATA = """\
title: Ours
source: ours
licence: ours
num_classes: 4
num_videos: {train: 8, test: 4}
synthetic: true
module: "own:Ours"
"""


OWN_DATA = """\
from vtbench.datasets import VideoData, synthetic

class Ours(VideoData):
    def prepare_data(self):
        synthetic.generate(self.videos.root, "cycle", num_train=self.videos.num_train, num_test=self.videos.num_test)
    {body}
"""


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "def __init__(self, **given): raise OSError('boom')",
            r"^data module own:Ours: OSError: boom \(.*own\.py:6\); its __init__ must take what that of VideoData",
        ),
        (
            "def __init__(self, videos, *, seed): super().__init__(videos)",
            r"^data module own:Ours: TypeError: .*unexpected keyword argument 'frames' \(.*\); its __init__ must take",
        ),
        ("def prepare_data(self): raise OSError('boom')", r"OSError: boom \(traceback in .*error\.txt\)"),
        ("def read(self, split): return []", r"ours-\w+: no videos to train on are listed"),
        ("def train_dataloader(self): raise OSError('boom')", r"OSError: boom \(traceback in .*error\.txt\)"),
        (
            "def test_dataloader(self): return list(super().test_dataloader())[:0]",
            "data module own:Ours: 0 of 4 test videos were tested; its test_dataloader must give every video",
        ),
    ],
)
def test_a_data_module_that_fails_is_one_line(prepared: Prepared, body: str, message: str, tmp_path: Path) -> None:
    made = tmp_path / "lab" / "data_manifests" / "ours"
    made.mkdir(parents=True)
    (made / "dataset.yaml").write_text(DATA)
    own = OWN_DATA.format(body=body)
    (measurement,) = prepared("  - {id: one, label: One, data: {dataset: ours}}\n", own=own)
    assert data_class("own:Ours").__name__ == "Ours"
    with pytest.raises(VtbenchError, match=message):
        ran(measurement)


def test_a_data_module_with_a_decoder_and_an_init_of_its_own_is_trained_on(prepared: Prepared, tmp_path: Path) -> None:
    """A synthetic set of the user's: it makes its videos, gives its lists, and reads them in its own way."""
    made = tmp_path / "lab" / "data_manifests" / "ours"
    made.mkdir(parents=True)
    (made / "dataset.yaml").write_text(DATA)
    own = """\
import numpy as np
import torch
from vtbench.datasets import Entry, VideoData


def frames(file, choose):
    wanted = choose(40)
    numbers, which = np.unique(wanted, return_inverse=True)
    pictures = torch.full((len(numbers), 3, 40, 48), int(file.read_text()), dtype=torch.uint8)
    return pictures, which.reshape(wanted.shape), "a text"


class Ours(VideoData):
    def __init__(self, videos, *, frames=None, **options):
        super().__init__(videos, frames=globals()["frames"], **options)

    def prepare_data(self):
        for split, count in (("train", self.videos.num_train), ("test", self.videos.num_test)):
            (self.videos.root / split).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                (self.videos.root / split / f"{number}.txt").write_text(str(60 * (number % 4)))

    def read(self, split):
        files = sorted((self.videos.root / split).iterdir())
        return [Entry(f.name, f, int(f.read_text()) // 60, str(f)) for f in files]
"""
    (measurement,) = prepared("  - {id: one, label: One, data: {dataset: ours}}\n", own=own)
    done = ran(measurement)
    assert (done["videos_expected"], done["videos_failed"], set(done["remarks"].values())) == (4, 0, {"a text"})
    assert len(list(Path("data").glob("ours-*/train/*.txt"))) == 8


# ---- one content, several lines --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("in_this_process")
def test_a_row_that_is_alike_at_two_scales_has_a_line_of_each(prepared: Prepared, capsys: Capture) -> None:
    prepared()
    for scale in ("smoke", "mini", "mini"):
        _answer(capsys, "run", "lab", "--scale", scale, "--workers", "1")
    smoke, mini = Store("results").read()
    assert (smoke.scale, mini.scale) == ("smoke", "mini")
    assert (smoke.evaluation_key, smoke.top1) == (mini.evaluation_key, mini.top1)
    assert len(list(Path("results", "runs").glob("train-*"))) == 1
    (entry,) = json.loads(_answer(capsys, "plan", "lab", "--scale", "mini", "--format", "json"))
    assert entry["state"] == "done"


@pytest.mark.usefixtures("in_this_process")
def test_a_shared_evaluation_names_the_folders_of_each_row(
    prepared: Prepared, capsys: Capture, tmp_path: Path, include: Callable[..., Any]
) -> None:
    prepared()
    include(lab.write(tmp_path / "other", defaults=TABLE, rows="  - {id: same, label: Same}\n"))
    assert "2 results written" in _answer(capsys, "run", "lab", "other", "--scale", "smoke", "--workers", "1")
    Path("results", "results.csv").unlink()
    assert "1 results written" in _answer(capsys, "run", "lab", "--scale", "smoke")
    assert "1 results written" in _answer(capsys, "run", "other", "--scale", "smoke")
    roots = {record.id: record.root or "" for record in Store("results").read()}
    assert [name.split("@")[0] for name in roots["lab/table1:one"].split(";")] == ["lab"]
    assert [name.split("@")[0] for name in roots["other/table1:same"].split(";")] == ["lab", "other"]


def _answer(capsys: Capture, *arguments: str) -> str:
    code = main(arguments)
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return captured.out


def test_a_worker_finds_the_folders_that_were_included(prepared: Prepared) -> None:
    prepared()
    outcome = launch.run(select(["lab"]), Settings(results=Path("results")), "smoke", [0], workers=1)
    assert [record.id for record in outcome.written] == ["lab/table1:one"] and not outcome.failed
