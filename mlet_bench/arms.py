"""Arms and recipes: the ways to train an embedding table that are compared, and the settings they share.

At the authors' initial values MLET starts with k/16 times the baseline's embedding learning rate and initial variance,
so "larger k is better" could be step size alone; the controls below separate the two.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlet_bench.errors import BenchError
from mlet_bench.registry import Registry

BASELINE, TREATED = "single", "mlet"  # the two that the paper compares


@dataclass(frozen=True)
class Look:
    """How an arm's lines are drawn: a colour, and dashes as matplotlib has them."""

    color: str
    dashes: str | tuple = "-"


@dataclass(frozen=True)
class Arm:
    """One way to train an embedding table; everything else is equal between arms.

    Attributes:
        method: the embedding method that stores the table, a name of ``mlet_bench.embeddings.METHODS``.
        purpose: what the arm separates, for tables and help texts.
        look: in figures; an arm without one gets it from a palette.
        options: keyword arguments of the method.
        inner_dim: whether k means anything to this arm.
        matches_lr: multiply the embedding learning rate by k/16, MLET's effective step size at the start.
        tunes_lr: choose the embedding learning rate on validation, from a fixed list (training/tuning.py).
    """

    name: str
    method: str
    purpose: str
    look: Look | None = None
    options: dict[str, Any] = field(default_factory=dict)
    inner_dim: bool = False
    matches_lr: bool = False
    tunes_lr: bool = False

    def lr_factor(self, inner_dim: int | None) -> float:
        """Embedding learning rate over the base learning rate: E[W2ᵀW2] = (k/16) I at the authors' W2 std of 0.25."""
        return (inner_dim or 0) / 16 if self.matches_lr else 1.0

    def check_widths(self, dim: int, inner_dim: int | None) -> None:
        """Refuse widths that do not fit the arm.

        Raises:
            BenchError: with the values found and those allowed.
        """
        if dim < 1:
            raise BenchError(f"embedding dim d={dim}: it must be 1 or more")
        if not self.inner_dim:
            if inner_dim is not None:
                raise BenchError(f"arm {self.name!r} has no inner dim, got k={inner_dim}: leave it out")
            return
        if inner_dim is None:
            raise BenchError(f"arm {self.name!r} needs an inner dim k >= d={dim}")
        if inner_dim < dim:
            raise BenchError(f"arm {self.name!r} has inner dim k={inner_dim} below d={dim}: k >= d is needed")


_LIKE_K, _UNIT, _FROZEN = {"variance_like_k": True}, {"unit_w2": True}, {"train_w2": False}
ARMS: Registry[Arm] = Registry("arm", built_in=(
    Arm("single", "single", "the paper's baseline: one n×d table", Look("#000000")),
    Arm("mlet", "mlet", "the paper's method: W1 (n×k) times W2 (k×d)", Look("#0072B2"), inner_dim=True),
    Arm("single-lr", "single", "step size: single with embedding lr × k/16", Look("#E69F00", "--"),
        inner_dim=True, matches_lr=True),
    Arm("single-lr-tuned", "single", "the fair rival: embedding lr chosen on validation",
        Look("#D55E00", (0, (5, 1.5))), tunes_lr=True),
    Arm("single-init", "single", "initial scale: single with initial variance × k/16", Look("#009E73", "-."),
        _LIKE_K, inner_dim=True),
    Arm("mlet-frozen", "mlet", "cross-category term: W2 stays at its initial value", Look("#56B4E9", (0, (1, 1.2))),
        _FROZEN, inner_dim=True),
    Arm("mlet-unit", "mlet", "MLET without the step-size gift: W2 std 1/sqrt(k)",
        Look("#CC79A7", (0, (4, 1.2, 1, 1.2, 1, 1.2))), _UNIT, inner_dim=True),
    Arm("mlet-lr-tuned", "mlet", "MLET given the rival's tuning: lr of W1 chosen on validation",
        Look("#5B3FA0", (0, (5, 1.5))), inner_dim=True, tunes_lr=True),
))  # fmt: skip


# A model's own hyper-parameters under a recipe stand with the model.
RECIPES: dict[str, dict[str, Any]] = {
    # The authors' fork of DLRM at commit 8a3e30e; on Criteo-Kaggle and Avazu alike.
    "authors": {"optimizer": "sgd", "lr": 0.2, "batch_size": 128},
    # facebookresearch/dlrm, bench/dlrm_s_criteo_kaggle.sh.
    "dlrm": {"optimizer": "sgd", "lr": 0.1, "batch_size": 128},
}


def with_recipe(given: Mapping[str, Any]) -> dict[str, Any]:
    """Training settings with those that ``given`` leaves out (or has as None) taken from its ``recipe``.

    Raises:
        BenchError: there is no such recipe.
    """
    recipe = given.get("recipe") or "authors"
    if recipe not in RECIPES:
        raise BenchError(f"unknown recipe {recipe!r}: the recipes are {', '.join(RECIPES)}")
    return {"recipe": recipe} | RECIPES[recipe] | {name: value for name, value in given.items() if value is not None}
