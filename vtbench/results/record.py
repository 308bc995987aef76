"""One line of results.csv (Record: what one evaluation measured for one row of a table) and of speed.csv (SpeedRecord:
one latency, throughput or memory of a row's network), each with where it came from.

The fields stand in the order of the columns; the unit is in the name or in the text below the field, and
results/README.md explains each column to a reader who has only the file.
"""

from __future__ import annotations

import csv
import io
from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from vtbench.scales import known_scale

Text = Annotated[
    str, Field(min_length=1, pattern=r"^[^\r\n]+$")
]  # one record is one line, so no value may hold a line end
Percent = Annotated[float, Field(ge=0, le=100)]
Seconds = Annotated[float, Field(ge=0)]
Scale = Annotated[str, AfterValidator(known_scale)]
Count = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0)]
Instant = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]


class Line(BaseModel):
    """A line of CSV. `None` is written as an empty cell; a value of the wrong type or range is refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True, protected_namespaces=()
    )

    @field_validator("*", mode="before")
    @classmethod
    def _empty_cell_is_none(cls, value: Any) -> Any:
        return None if value == "" else value

    @property
    @abstractmethod
    def title(self) -> str:
        """What the line is of, for messages."""

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        """The names of the values, in order."""
        return tuple(cls.model_fields)

    def to_line(self) -> str:
        """The record as one CSV line with its line end. Floats are written so that they read back exactly."""
        return csv_line([_cell(getattr(self, name)) for name in self.columns()])

    @classmethod
    def optional_columns(cls) -> tuple[str, ...]:
        """The columns that an older file may lack: those that came later, and are empty in its lines."""
        return tuple(name for name, field in cls.model_fields.items() if not field.is_required())

    @classmethod
    def from_cells(cls, cells: Sequence[str], columns: Sequence[str] | None = None) -> Self:
        """The record of one parsed line; `columns` are those of the file, if they are not all of them. Raises
        ValueError with one line saying which column is wrong and how."""
        columns = columns or cls.columns()
        if len(cells) != len(columns):
            raise ValueError(f"{len(cells)} of {len(columns)} values")
        try:
            return cls.model_validate(dict(zip(columns, cells, strict=True)))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            message = first["msg"].removeprefix("Value error, ")
            where = f"{first['loc'][0]} holds {first['input'] or ''!r}: " if first["loc"] else ""
            raise ValueError(where + message) from None


class Record(Line):
    """One line of results.csv."""

    id: Text
    """The row of the printed table, as `paper/table:row`."""
    measurement: Text
    """Which of the row's measurements: `main`, or the name of a second one (`events`)."""
    scale: Scale
    """The size of the experiment. Only `paper` may be compared with the printed number."""
    seed: Count
    """The seed of the training and of everything drawn at random in the evaluation."""
    training_key: Text
    """Hash of what fixed the weights: data, model, recipe, seed and what they started from."""
    evaluation_key: Text
    """Hash of the training together with the test data and protocol. Lines that share it are one evaluation."""
    top1: Percent | None
    """Videos whose label has the highest score, in percent of the videos expected."""
    top5: Percent | None
    """Videos whose label is among the five highest scores, in percent of the videos expected."""
    metrics: Text | None = None
    """What else was measured (`eval.metrics`), as `mean_class_accuracy=71.25;...`, in each metric's own unit."""
    videos_expected: Count
    """Videos in the test list."""
    videos_decoded: Count
    """Videos that could be read, and so were scored."""
    videos_failed: Count
    """Videos that could not be read: each counts as a miss in top1 and top5."""
    videos_silent: Count | None
    """Videos that were read but have no sound track, heard as silence. Empty where no sound is asked for."""
    views: Annotated[int, Field(ge=1)]
    """Views per video (clips times crops) whose scores were averaged."""
    train_wall_s: Seconds | None
    """Wall time of the training in seconds, without that of the training it started from. Empty for given weights."""
    eval_wall_s: Seconds | None
    """Wall time of the evaluation in seconds."""
    train_videos: Count | None
    """Videos in the training list. Empty for given weights."""
    epochs: Count | None
    """Epochs trained. Empty for given weights."""
    batch_size: Count | None
    """Clips per forward pass. The effective batch is batch_size times accumulate."""
    accumulate: Count | None
    """Forward passes whose gradients were added up for one step."""
    lr: Annotated[float, Field(ge=0)] | None
    """Learning rate at the start, after any scaling with the batch."""
    init: Text
    """What the weights started from: `scratch`, `training:` and its key, or a name of weights with `@` and the first 8
    digits of the file's SHA-256."""
    selection: Text
    """The split that drove any choice of epoch or setting; `none: last epoch` when none did."""
    data_fingerprint: Text
    """Hash of the test list and the sizes of its files."""
    weights_sha256: Text
    """SHA-256 of the weights that were evaluated."""
    commit: Text | None
    """Git commit of vtbench; empty outside a checkout."""
    dirty: bool | None
    """Whether the checkout held changes that are not in the commit; empty outside a checkout."""
    root: Text | None = None
    """The folders outside vtbench that papers, data sets and modules came from, each with its commit or the SHA-256 of
    its papers, data sets and Python files, as `lab@1a2b3c4d5e6f;toy@sha256:5d6e7f809a1b`; empty where there are
    none."""
    device: Text
    """What computed it, for example `cpu` or the name of the GPU."""
    threads: Annotated[int, Field(ge=1)]
    """CPU threads torch was given; on CPU the numbers repeat bit for bit only with as many."""
    versions: Text
    """Versions of the libraries, as `torch=2.8.0;lightning=2.5.0`."""
    finished_at: Instant
    """When the evaluation ended: UTC, as `2026-01-31T23:59:59Z`. The last column, so a line cut short shows."""

    @model_validator(mode="after")
    def _parts_agree(self) -> Record:
        if self.videos_decoded + self.videos_failed != self.videos_expected:
            raise ValueError("videos_decoded and videos_failed do not add up to videos_expected")
        if (self.videos_silent or 0) > self.videos_decoded:
            raise ValueError("videos_silent is above videos_decoded")
        if self.top1 is not None and self.top5 is not None and self.top1 > self.top5:
            raise ValueError("top1 is above top5")
        return self

    def all_measured(self) -> dict[str, float | None]:
        """Every metric by name: `top1`, `top5`, and those in `metrics`."""
        pairs = (part.partition("=") for part in self.metrics.split(";")) if self.metrics else ()
        return {"top1": self.top1, "top5": self.top5, **{name: float(value) for name, _, value in pairs}}

    def measured(self, metric: str) -> float | None:
        """One metric by name; None for what was not measured."""
        return self.all_measured().get(metric)

    @property
    def title(self) -> str:
        return f"{self.id} ({self.measurement}, {self.scale}, seed {self.seed})"


COLUMNS: tuple[str, ...] = Record.columns()


class SpeedRecord(Line):
    """One line of speed.csv: one metric of the network of one row, as one command measured it."""

    id: Text
    """The row of the printed table, as `paper/table:row`."""
    scale: Scale
    """The size of the network and of its clips. Only `paper` may be compared with the printed ratio."""
    metric: Literal["latency_ms", "throughput_vps", "memory_gb", "train_step_ms", "train_memory_gb"]
    """What was measured, with its unit: ms per forward pass, clips per second, GB (1e9 bytes) at the peak of a forward
    pass, ms and GB of a training step."""
    batch: Annotated[int, Field(ge=1)]
    """Clips per pass; lower than asked for where memory did not suffice."""
    value: Amount
    """In the metric's unit, the median over the rounds."""
    q1: Amount | None
    """Lower quartile over the rounds; empty for a single one."""
    q3: Amount | None
    """Upper quartile over the rounds; empty for a single one."""
    against: Text | None
    """The row that it was measured side by side with; empty for one without a baseline."""
    ratio: Amount | None
    """The metric divided by that row's of the same round, the median over the rounds; empty without a baseline, or
    where the batches differ."""
    ratio_q1: Amount | None
    """Lower quartile of the ratio over the rounds; empty for a single one."""
    ratio_q3: Amount | None
    """Upper quartile of the ratio over the rounds; empty for a single one."""
    rounds: Annotated[int, Field(ge=1)]
    """How often each network had its turn; of memory, in how many processes it was measured."""
    network: Text
    """Hash of what the network is built from."""
    against_network: Text | None
    """The same of the row it was measured against."""
    precision: Literal["32-true", "16-mixed", "bf16-mixed"]
    """Arithmetic, in Lightning's words."""
    device: Text
    """`cpu`, or the name of the GPU."""
    threads: Annotated[int, Field(ge=1)]
    """CPU threads torch was given."""
    commit: Text | None
    """Git commit of vtbench; empty outside a checkout."""
    dirty: bool | None
    """Whether the checkout held changes that are not in the commit; empty outside a checkout."""
    root: Text | None = None
    """The folders outside vtbench that the row and its network came from, as in results.csv."""
    versions: Text
    """Versions of the libraries, as `torch=2.8.0;lightning=2.5.0`."""
    finished_at: Instant
    """When it was measured: UTC, as `2026-01-31T23:59:59Z`. The last column, so a line cut short shows."""

    @property
    def title(self) -> str:
        return f"{self.id} ({self.metric}, {self.scale})"


def csv_line(cells: Sequence[str]) -> str:
    """Cells as one line of CSV, quoted where needed, ending in a newline."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)
