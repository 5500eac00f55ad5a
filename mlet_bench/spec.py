"""What a data set and a run are: frozen dataclasses, the run id, and one seed an axis.

Notation: n rows of a table, k inner width, d embedding width, F categorical fields, B batch.
"""

import hashlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mlet_bench.arms import ARMS, PAPER_W2_STD, Arm, step_gift
from mlet_bench.errors import BenchError
from mlet_bench.files import digest, read_json, write_json, write_sealed

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Field:
    """A categorical field: ``size`` is n, the number of rows of its table."""

    name: str
    size: int


@dataclass(frozen=True)
class DatasetSchema:
    """The ``schema.json`` of a prepared data set.

    Attributes:
        name: of the data set, a name of ``mlet_bench.data.DATASETS``.
        fields: the categorical fields in model order.
        dense: names of the dense features in model order.
        rows: number of rows per split.
        clicks: number of rows with label 1 per split.
        source: the raw file: ``file``, ``md5`` (of the unpacked bytes read), ``rows``; ``planted`` (seed, rows and
            best possible AUC) when the generator made it, else None.
        preparation: the options that decided the content (``split``, ``max_rows``, ``authors_hour``).
        version: version of the preparation; raised whenever the same raw file would give other numbers.
        fingerprint: digest of everything above; equal fingerprints mean equal numbers.
        sums: sha256 of each file of the data set, by its name in the folder; none where they were not taken. They are
            of the files alone and not of the numbers, which another version of Parquet writes in other bytes.
    """

    name: str
    fields: tuple[Field, ...]
    dense: tuple[str, ...]
    rows: dict[str, int]
    clicks: dict[str, int]
    source: dict[str, Any]
    preparation: dict[str, Any]
    version: int
    fingerprint: str = ""
    sums: dict[str, str] = field(default_factory=dict, compare=False)

    @property
    def table_sizes(self) -> tuple[int, ...]:
        """n of each field's table, in model order."""
        return tuple(field.size for field in self.fields)

    def sealed(self) -> "DatasetSchema":
        """The same schema with its fingerprint filled in. Neither the raw file's name nor the sums enter it."""
        content = asdict(self) | {"fingerprint": "", "source": {**self.source, "file": ""}}
        del content["sums"]
        return DatasetSchema(**{**vars(self), "fingerprint": digest(content, 16)})

    def write(self, folder: Path | str) -> None:
        """Write ``schema.json``: the last file of a preparation, so that its presence means a whole data set."""
        write_sealed(Path(folder) / "schema.json", asdict(self))

    @classmethod
    def read(cls, folder: Path | str) -> "DatasetSchema":
        """Read ``folder/schema.json``.

        Raises:
            BenchError: the folder is no prepared data set, or its schema was edited.
        """
        path = Path(folder) / "schema.json"
        content = read_json(path, "not a prepared data set; make one with 'mlet-bench prepare'", "prepare it again")
        try:
            content["fields"] = tuple(Field(**field) for field in content["fields"])
            content["dense"] = tuple(content["dense"])
            schema = cls(**content)
        except (TypeError, KeyError) as error:
            raise BenchError(f"{path} is not a data-set schema of this version ({error}): prepare it again") from None
        if schema != schema.sealed():
            raise BenchError(f"{path} does not have the fingerprint of its content: it was edited; prepare it again")
        return schema


LARGEST = (2 - 2**-23) * 2.0**127  # float32's
WIDEST = 2**20  # of d and k: the product of the two, and of a table's rows with one, fits 63 bits
LOSSES = ("mean", "sum")  # over a batch
# Fields that came after runs had ids: at the values that those runs had an id leaves them out, and stays as it was.
LATER = {"budget": "", "loss": "mean", "w2_std": PAPER_W2_STD}
VERSION = 2  # of the code that trains: raised whenever equal settings give other numbers


@dataclass(frozen=True)
class RunSpec:
    """Everything that decides the numbers of one training run.

    Attributes:
        dim: d, the width of the embedding vectors.
        inner_dim: k, None for arms that have none.
        seed: the run's seed; arms with equal seeds are paired (see ``derive_seed``).
        hyper: the model's hyper-parameters, plain values by name (see ``mlet_bench.models``).
        validations: how many times the validation split is scored during training.
        recipe: where the settings come from, a name of ``RECIPES``; the settings themselves decide.
        embedding_lr_factor: embedding learning rate over that of the arm; what an arm that tunes chooses.
        budget: bytes that the tables may take when they are served, ``270MB`` or ``1/16`` of the single layer at the
            same d, of an arm that shares rows; empty for its default, and for arms whose width is their size.
        authors_selection: also score *test* at each validation, to report what the authors report: the AUC at the
            best test accuracy. It selects on the scored rows; nothing else of the suite looks at it.
        loss: ``mean`` or ``sum``, what of a batch's cross-entropies is differentiated; a curve always shows the mean.
        w2_std: standard deviation of W2's initial values, except in arms that set it themselves.

    Raises:
        BenchError: a value that is not possible.
    """

    dataset: str
    fingerprint: str
    model: str
    arm: str
    dim: int
    inner_dim: int | None
    seed: int
    hyper: dict[str, Any] = field(default_factory=dict)
    optimizer: str = "sgd"
    lr: float = 0.2
    batch_size: int = 128
    epochs: int = 1
    precision: str = "float32"
    validations: int = 10
    recipe: str = "authors"
    embedding_lr_factor: float = 1.0
    budget: str = ""
    authors_selection: bool = False
    loss: str = "mean"
    w2_std: float = PAPER_W2_STD
    version: int = VERSION

    def __post_init__(self) -> None:
        # Tuples become lists, as JSON has them: a spec that was read equals the one that was written.
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in self.hyper.items()}
        object.__setattr__(self, "hyper", plain)
        self.settings.check_widths(self.dim, self.inner_dim)
        if max(self.dim, self.inner_dim or 0) > WIDEST:
            raise BenchError(f"{self.cell} is wider than any table: d and k are at most {WIDEST:,}")
        for name in ("batch_size", "epochs"):
            if getattr(self, name) < 1:
                raise BenchError(f"{name} is {getattr(self, name)}: it must be 1 or more")
        if self.validations < 0:
            raise BenchError(f"validations is {self.validations}: it must be 0 or more")
        if self.authors_selection and not self.validations:
            raise BenchError("authors_selection needs validations of 1 or more to select among")
        if self.loss not in LOSSES:
            raise BenchError(f"loss is {self.loss!r}: it must be {' or '.join(LOSSES)} (over the batch)")
        for name in ("lr", "embedding_lr_factor", "w2_std", "embedding_lr"):
            if not 0 < getattr(self, name) <= LARGEST:
                raise BenchError(
                    f"{name} is {getattr(self, name)}: it must be above 0, and at most {LARGEST:.2g}, the largest "
                    "number of float32"
                )
        for name in ("lr", "embedding_lr_factor", "w2_std"):  # 4 is 4.0, so that both are one run with one id
            object.__setattr__(self, name, float(getattr(self, name)))

    @property
    def id(self) -> str:
        """The run's id: the same names its MLflow run and its row in every table."""
        fields = asdict(self).items()
        return digest({name: value for name, value in fields if name not in LATER or value != LATER[name]})

    @property
    def cell(self) -> str:
        """The run's cell, all seeds of one setting, as its folder is called."""
        return cell_name(self.arm, self.dim, self.inner_dim, self.epochs, self.budget)

    @property
    def settings(self) -> Arm:
        """The run's arm."""
        return ARMS[self.arm]

    @property
    def embedding_lr(self) -> float:
        """The learning rate of the tables' rows: those of E, or of W1; W2 has the model's ``lr``."""
        rate = self.lr * self.embedding_lr_factor
        if not self.settings.matches_lr or self.inner_dim is None:
            return rate
        return rate * step_gift(self.optimizer, self.inner_dim, self.dim, self.w2_std)

    def write(self, folder: Path | str) -> None:
        """Write ``folder/spec.json``, the id included for readers."""
        write_json(Path(folder) / "spec.json", {"id": self.id, **asdict(self)})

    @classmethod
    def read(cls, folder: Path | str) -> "RunSpec":
        """Read ``folder/spec.json``.

        Raises:
            BenchError: the folder is no run, or its id does not match its content.
        """
        path = Path(folder) / "spec.json"
        content = read_json(path, "not a run folder; make one with 'mlet-bench train'")
        try:
            written = content.pop("id", None)
            spec = cls(**content)
        except (TypeError, KeyError, AttributeError) as error:
            raise BenchError(f"{path} is not a run's spec of this version ({error}): train the run again") from None
        if written != spec.id:
            raise BenchError(f"{path} says id {written}, its content gives {spec.id}: it was edited; train it again")
        return spec


def cell_name(arm: str, dim: int, inner_dim: int | None, epochs: int = 1, budget: str = "") -> str:
    """``single-d16``, ``mlet-d16-k64``, ``hash-d16-b1_16`` within a budget, ``mlet-d16-k64-e4`` for 4 epochs."""
    parts = [f"{arm}-d{dim}", f"-k{inner_dim}" if inner_dim is not None else ""]
    parts += [f"-b{budget.replace('/', '_')}" if budget else "", f"-e{epochs}" if epochs > 1 else ""]
    return "".join(parts)


def derive_seed(seed: int, axis: str) -> int:
    """A 63-bit seed for one axis of randomness of a run.

    Axes in use: ``order`` (row order), ``mlp`` and ``embedding`` (initial values), ``split``. Arms with the same
    ``seed`` share the order and the MLPs' initial values, which pairs them; changing one axis leaves the others as
    they are. The split of a data set takes a constant, never a run's seed.
    """
    return int.from_bytes(hashlib.sha256(f"{axis}:{seed}".encode()).digest()[:8], "big") >> 1
