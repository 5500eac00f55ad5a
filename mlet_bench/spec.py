"""What a data set, an arm and a run are: frozen dataclasses, the run id, and one seed an axis.

Notation: n rows of a table, k inner width, d embedding width, F categorical fields, B batch.
"""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlet_bench.errors import BenchError
from mlet_bench.files import digest, read_json, write_json

DATASETS = ("criteo-kaggle", "avazu")
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
        name: one of ``DATASETS``.
        fields: the categorical fields in model order.
        dense: names of the dense features in model order.
        rows: number of rows per split.
        clicks: number of rows with label 1 per split.
        source: the raw file: ``file``, ``md5`` (of the unpacked bytes read), ``rows``; ``planted`` (seed, rows and
            best possible AUC) when the generator made it, else None.
        preparation: the options that decided the content (``split``, ``max_rows``, ``authors_hour``).
        version: version of the preparation; raised whenever the same raw file would give other numbers.
        fingerprint: digest of everything above; equal fingerprints mean equal numbers.
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

    @property
    def table_sizes(self) -> tuple[int, ...]:
        """n of each field's table, in model order."""
        return tuple(field.size for field in self.fields)

    def sealed(self) -> "DatasetSchema":
        """The same schema with its fingerprint filled in. The raw file's name does not enter it."""
        content = asdict(self) | {"fingerprint": "", "source": {**self.source, "file": ""}}
        return DatasetSchema(**{**vars(self), "fingerprint": digest(content, 16)})

    def write(self, folder: Path | str) -> None:
        """Write ``schema.json``: the last file of a preparation, so that its presence means a whole data set."""
        write_json(Path(folder) / "schema.json", asdict(self))

    @classmethod
    def read(cls, folder: Path | str) -> "DatasetSchema":
        """Read ``folder/schema.json``.

        Raises:
            BenchError: the folder is no prepared data set, or its schema was edited.
        """
        path = Path(folder) / "schema.json"
        content = read_json(path, "not a prepared data set; make one with 'mlet-bench prepare'")
        try:
            content["fields"] = tuple(Field(**field) for field in content["fields"])
            content["dense"] = tuple(content["dense"])
            schema = cls(**content)
        except (TypeError, KeyError) as error:
            raise BenchError(f"{path} is not a data-set schema of this version ({error}): prepare it anew") from None
        if schema != schema.sealed():
            raise BenchError(f"{path} does not have the fingerprint of its content: it was edited; prepare it anew")
        return schema


@dataclass(frozen=True)
class Arm:
    """One way to train an embedding table; everything else is equal between arms.

    Attributes:
        method: which embedding stores the table, ``single`` (n×d) or ``mlet`` (n×k times k×d).
        purpose: what the arm separates, for tables and help texts.
        matches_lr: multiply the embedding learning rate by k/16, MLET's effective step size at the start.
        matches_init: multiply the initial variance by k/16, MLET's at the start.
        unit_w2: draw W2 with std 1/sqrt(k) instead of 0.25, so that MLET starts with the baseline's step size.
        train_w2: False keeps W2 at its initial value.
        tunes_lr: choose the embedding learning rate on validation, from a fixed list (training/tuning.py).
    """

    name: str
    method: str
    purpose: str
    matches_lr: bool = False
    matches_init: bool = False
    unit_w2: bool = False
    train_w2: bool = True
    tunes_lr: bool = False

    @property
    def uses_inner_dim(self) -> bool:
        """Whether k means anything to this arm."""
        return self.method == "mlet" or self.matches_lr or self.matches_init

    def lr_factor(self, inner_dim: int | None) -> float:
        """Embedding learning rate over the base learning rate: E[W2ᵀW2] = (k/16) I at the authors' W2 std of 0.25."""
        return inner_dim / 16 if self.matches_lr else 1.0

    def variance_factor(self, inner_dim: int | None) -> float:
        """Initial variance over the baseline's."""
        return inner_dim / 16 if self.matches_init else 1.0


ARMS = {
    arm.name: arm
    for arm in (
        Arm("single", "single", "the paper's baseline: one n×d table"),
        Arm("mlet", "mlet", "the paper's method: W1 (n×k) times W2 (k×d)"),
        Arm("single-lr", "single", "step size: single with embedding lr × k/16", matches_lr=True),
        Arm("single-lr-tuned", "single", "the fair rival: embedding lr chosen on validation", tunes_lr=True),
        Arm("single-init", "single", "initial scale: single with initial variance × k/16", matches_init=True),
        Arm("mlet-frozen", "mlet", "cross-category term: W2 stays at its initial value", train_w2=False),
        Arm("mlet-unit", "mlet", "MLET without the step-size gift: W2 std 1/sqrt(k)", unit_w2=True),
        Arm("mlet-lr-tuned", "mlet", "MLET given the rival's tuning: lr of W1 chosen on validation", tunes_lr=True),
    )
}


RECIPES: dict[str, dict[str, Any]] = {
    # The authors' fork of DLRM at commit 8a3e30e; on Criteo-Kaggle and Avazu alike.
    "authors": {"optimizer": "sgd", "lr": 0.2, "batch_size": 128, "bottom": (256, 64), "top": (512, 256)},
    # facebookresearch/dlrm, bench/dlrm_s_criteo_kaggle.sh.
    "dlrm": {"optimizer": "sgd", "lr": 0.1, "batch_size": 128, "bottom": (512, 256, 64), "top": (512, 256)},
}


def with_recipe(given: dict[str, Any]) -> dict[str, Any]:
    """Training settings with those that ``given`` leaves out (or has as None) taken from its ``recipe``.

    Raises:
        BenchError: there is no such recipe.
    """
    recipe = given.get("recipe", "authors")
    if recipe not in RECIPES:
        raise BenchError(f"unknown recipe {recipe!r}: the recipes are {', '.join(RECIPES)}")
    return {"recipe": recipe} | RECIPES[recipe] | {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True)
class RunSpec:
    """Everything that decides the numbers of one training run.

    Attributes:
        dim: d, the width of the collapsed table.
        inner_dim: k, None for arms that have none.
        bottom, top: hidden widths; the bottom MLP ends in d, the top MLP in 1.
        seed: the run's seed; arms with equal seeds are paired (see ``derive_seed``).
        validations: how many times the validation split is scored during training.
        recipe: where the settings come from, a name of ``RECIPES``; the settings themselves decide.
        embedding_lr_factor: embedding learning rate over that of the arm; what an arm that tunes chooses.
        authors_selection: also score *test* at each validation, to report what the authors report: the AUC at the
            best test accuracy. It selects on the scored rows; nothing else of the suite looks at it.
    """

    dataset: str
    fingerprint: str
    model: str
    arm: str
    dim: int
    inner_dim: int | None
    seed: int
    optimizer: str = "sgd"
    lr: float = 0.2
    batch_size: int = 128
    epochs: int = 1
    bottom: tuple[int, ...] = (256, 64)
    top: tuple[int, ...] = (512, 256)
    precision: str = "float32"
    validations: int = 10
    recipe: str = "authors"
    embedding_lr_factor: float = 1.0
    authors_selection: bool = False

    def __post_init__(self) -> None:
        for name in ("bottom", "top"):  # lists, as JSON has them, become tuples
            object.__setattr__(self, name, tuple(getattr(self, name)))
        check_cell(self.arm, self.dim, self.inner_dim)
        for name in ("batch_size", "epochs"):
            if getattr(self, name) < 1:
                raise BenchError(f"{name} is {getattr(self, name)}: it must be 1 or more")
        if self.validations < 0:
            raise BenchError(f"validations is {self.validations}: it must be 0 or more")
        if self.authors_selection and not self.validations:
            raise BenchError("authors_selection needs validations of 1 or more to select among")
        for name in ("lr", "embedding_lr_factor"):
            if not getattr(self, name) > 0:
                raise BenchError(f"{name} is {getattr(self, name)}: it must be above 0")

    @property
    def id(self) -> str:
        """The run's id: the same names its MLflow run and its row in every table."""
        return digest(asdict(self))

    @property
    def cell(self) -> str:
        """The run's cell, all seeds of one setting, as its folder is called."""
        return cell_name(self.arm, self.dim, self.inner_dim, self.epochs)

    @property
    def settings(self) -> Arm:
        """The run's arm."""
        return ARMS[self.arm]

    @property
    def embedding_lr(self) -> float:
        """The learning rate of the tables' rows: those of E, or of W1; W2 has the MLPs' ``lr``."""
        return self.lr * self.settings.lr_factor(self.inner_dim) * self.embedding_lr_factor

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
        written = content.pop("id", None)
        try:
            spec = cls(**content)
        except (TypeError, KeyError) as error:
            raise BenchError(f"{path} is not a run's spec of this version ({error}): train the run anew") from None
        if written != spec.id:
            raise BenchError(f"{path} says id {written}, its content gives {spec.id}: it was edited; train it anew")
        return spec


def cell_name(arm: str, dim: int, inner_dim: int | None, epochs: int = 1) -> str:
    """``single-d16``, ``mlet-d16-k64``, and ``mlet-d16-k64-e4`` for more than the paper's one epoch."""
    return f"{arm}-d{dim}" + (f"-k{inner_dim}" if inner_dim is not None else "") + (f"-e{epochs}" if epochs > 1 else "")


def check_cell(arm: str, dim: int, inner_dim: int | None) -> None:
    """Refuse an arm that does not exist and widths that do not fit it.

    Raises:
        BenchError: with the values found and those allowed.
    """
    if arm not in ARMS:
        raise BenchError(f"unknown arm {arm!r}: the arms are {', '.join(ARMS)}")
    if dim < 1:
        raise BenchError(f"embedding dim d={dim}: it must be 1 or more")
    if not ARMS[arm].uses_inner_dim:
        if inner_dim is not None:
            raise BenchError(f"arm {arm!r} has no inner dim, got k={inner_dim}: leave it out")
        return
    if inner_dim is None:
        raise BenchError(f"arm {arm!r} needs an inner dim k >= d={dim}")
    if inner_dim < dim:
        raise BenchError(f"arm {arm!r} has inner dim k={inner_dim} below d={dim}: k >= d is needed")


def derive_seed(seed: int, axis: str) -> int:
    """A 63-bit seed for one axis of randomness of a run.

    Axes in use: ``order`` (row order), ``mlp`` and ``embedding`` (initial values), ``split``. Arms with the same
    ``seed`` share the order and the MLPs' initial values, which pairs them; changing one axis leaves the others as
    they are. The split of a data set takes a constant, never a run's seed.
    """
    return int.from_bytes(hashlib.sha256(f"{axis}:{seed}".encode()).digest()[:8], "big") >> 1
