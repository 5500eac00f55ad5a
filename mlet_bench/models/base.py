"""The contract of a model: what stands above the embeddings, its hyper-parameters, and what a row of a batch takes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, get_origin, get_type_hints

from torch import Tensor, nn

from mlet_bench.arms import RECIPES
from mlet_bench.embeddings.base import FieldTables
from mlet_bench.embeddings.draw import normal_, stream_of
from mlet_bench.errors import BenchError


@dataclass(frozen=True)
class NoHyper:
    """The hyper-parameters of a model that has none."""


class ClickModel(nn.Module):
    """A model of click probabilities: a logit for each row, from its dense features and its categories.

    Subclasses write ``__init__``, which calls this one, and ``head``. Shapes: B rows of a batch, D dense features, F
    fields, d embedding width.

    Args:
        embedding: gives (B, F, d) vectors for (B, F) ids.
        linear: of a model with ``wide``, gives (B, F, 1): a number for each category, the linear part. No arm
            factorises it, and it is trained by the optimizer that trains the embedding.

    Attributes:
        name: in ``MODELS``.
        Hyper: a frozen dataclass of hyper-parameters with defaults (int, float, bool, str or tuple[int, ...]); config,
            command line and schema know them from it, ``metadata={"help": ...}`` included.
        recipes: hyper-parameters that differ from the defaults under a recipe, by the recipe's name.
        own_recipe: the recipe that its authors trained it by, of ``arms.RECIPES``.
        wide: whether the model asks for ``linear``.

    Example::

        @MODELS.add
        class LogisticRegression(ClickModel):
            name, wide = "lr", True

            def __init__(self, embedding, num_dense, hyper, draws, linear=None):
                super().__init__(embedding, linear)
                self.dense = MLP([num_dense, 1], draws, last_relu=False)

            def head(self, dense, vectors, linear=None):
                return self.dense(dense).squeeze(1) + linear.sum((1, 2))
    """

    name: ClassVar[str]
    Hyper: ClassVar[type] = NoHyper
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    own_recipe: ClassVar[str] = "authors"
    wide: ClassVar[bool] = False

    def __init__(self, embedding: FieldTables, linear: FieldTables | None = None):
        super().__init__()
        self.embedding = embedding
        if linear is not None:
            self.linear = linear

    def tables(self) -> dict[str, FieldTables]:
        """The embeddings by the name they have in the model, in the order in which ``head`` takes their vectors."""
        found = {"embedding": self.embedding}
        return found | ({"linear": self.linear} if self.wide else {})

    def forward(self, dense: Tensor, ids: Tensor) -> Tensor:
        """Logits. dense: (B, D) float, ids: (B, F) int → (B,)."""
        return self.head(dense, *(table(ids) for table in self.tables().values()))

    def head(self, dense: Tensor, vectors: Tensor, linear: Tensor | None = None) -> Tensor:
        """Everything above the embeddings. dense: (B, D), vectors: (B, F, d), linear: (B, F, 1) if wide → (B,)."""
        raise NotImplementedError

    @classmethod
    def activation_values(cls, hyper: Any, num_fields: int, num_dense: int, dim: int) -> int:
        """About how many numbers a row of a batch takes between embeddings and logit, for estimates of memory."""
        widths = [sum(value) for value in asdict(hyper).values() if isinstance(value, tuple)]
        return 4 * num_fields * dim + num_dense + sum(widths)


def resolve_hyper(model: type[ClickModel], given: Mapping[str, Any], recipe: str) -> dict[str, Any]:
    """All hyper-parameters of a model as plain values: its defaults, those of the recipe, and what is given (not None).

    Raises:
        BenchError: the model has no such hyper-parameter, or it cannot have that value.
    """
    known = get_type_hints(model.Hyper)
    given = {name: value for name, value in given.items() if value is not None}
    if unknown := sorted(set(given) - set(known)):
        there = ", ".join(known) or "none"
        raise BenchError(f"model {model.name!r} has no hyper-parameter {', '.join(unknown)}: there are {there}")
    for name, value in given.items():
        if not _fits(value, known[name]):
            expected = _KINDS.get(known[name], "a list of whole numbers above 0")
            raise BenchError(f"{name} of model {model.name!r} is {value!r}: expected {expected}")
    values = asdict(make_hyper(model, {**model.recipes.get(recipe, {}), **given}))
    return {name: _plain(value, known[name]) for name, value in values.items()}


def untried_optimizer(model: type[ClickModel], optimizer: str) -> str:
    """The recipe to go back to if a model does not bear an optimizer: its own, if that has another; "" otherwise."""
    return model.own_recipe if RECIPES[model.own_recipe]["optimizer"] != optimizer else ""


def make_hyper(model: type[ClickModel], values: Mapping[str, Any]) -> Any:
    """A model's ``Hyper`` of plain values, lists as tuples."""
    return model.Hyper(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def at_least(hyper: Any, **smallest: int) -> None:
    """Refuse whole numbers of a ``Hyper`` that are too small, from its ``__post_init__``.

    Raises:
        BenchError: with the value found and the smallest allowed.
    """
    for name, least in smallest.items():
        if getattr(hyper, name) < least:
            raise BenchError(f"{name} is {getattr(hyper, name)}: it must be {least} or more")


_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def _plain(value: Any, kind: Any) -> Any:
    """As JSON has it; 1 is 1.0 where a real number is asked for, so that both are one run."""
    if isinstance(value, tuple | list):
        return list(value)
    return float(value) if kind is float else value


def _fits(value: Any, kind: Any) -> bool:
    if get_origin(kind) is tuple:
        return isinstance(value, tuple | list) and all(type(width) is int and width > 0 for width in value)
    return type(value) is kind or (kind is float and type(value) is int)


def draw_linear(table: FieldTables, seed: int) -> None:
    """Initial values of a linear part: N(0, 1e-4²), as in the authors' DeepCTR code (paper B)."""
    for field in range(len(table.table_sizes)):
        normal_(table.field_rows(field), seed, stream_of(field), 1e-4)
