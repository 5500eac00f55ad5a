"""Arms and recipes: the ways to train an embedding table that are compared, and the settings they share.

At the authors' initial values MLET starts with k/16 times the baseline's embedding learning rate and initial variance,
so "larger k is better" could be step size alone; the controls below separate the two. ``step_gift`` has the factor for
other recipes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlet_bench.errors import BenchError
from mlet_bench.registry import Registry

BASELINE, TREATED = "single", "mlet"  # the two that the paper compares
PAPER_W2_STD = 0.25  # of W2's initial values in the authors' code for paper A, whatever k and d


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
        matches_lr: multiply the embedding learning rate by MLET's first step over the baseline's (``step_gift``).
        unit_step: draw W2 so that MLET's first step is the baseline's (``unit_w2_std``).
        tunes_lr: choose the embedding learning rate on validation (training/tuning.py).
        lr_frequency_power: multiply a row's learning rate by its training frequency to this power, normalised to mean 1
            over the look-ups of its field (training/rows.py); 0 for no such thing.
    """

    name: str
    method: str
    purpose: str
    look: Look | None = None
    options: dict[str, Any] = field(default_factory=dict)
    inner_dim: bool = False
    matches_lr: bool = False
    unit_step: bool = False
    tunes_lr: bool = False
    lr_frequency_power: float = 0.0

    @property
    def is_mlet(self) -> bool:
        """Whether it trains products W1 W2: MLET itself, or MLET over shared rows."""
        return self.method.partition("-")[0] == TREATED

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


def step_gift(optimizer: str, inner_dim: int, dim: int, w2_std: float) -> float:
    """How far the first step of MLET moves its product, over how far the single layer's moves E, at equal rates.

    G is the gradient of the loss with respect to the rows of E that a batch touches; W2's law is N(0, w2_std²).

    SGD moves W1 by -η G W2ᵀ, so the product by -η G W2ᵀW2, and E[W2ᵀW2] = k w2_std² I: the gift is k w2_std².

    Adagrad moves each coordinate by η at its first touch, whatever the gradient: E by -η sign(G), W1 by
    -η sign(G W2ᵀ), so the product by -η sign(G W2ᵀ) W2. To first order a row g lowers the loss by η |g|₁ in the single
    layer and by η |g W2ᵀ|₁ in MLET. Each of the k numbers of g W2ᵀ is N(0, w2_std² |g|₂²), of expected size
    w2_std |g|₂ sqrt(2/π), and for a gradient of no preferred direction |g|₁ = |g|₂ sqrt(2 d/π), up to 1/(4d): the
    gift is k w2_std / sqrt(d). It grows as the table narrows.
    """
    return inner_dim * w2_std / dim**0.5 if optimizer == "adagrad" else inner_dim * w2_std**2


def unit_w2_std(optimizer: str, inner_dim: int, dim: int) -> float:
    """The standard deviation of W2 at which ``step_gift`` is 1."""
    return dim**0.5 / inner_dim if optimizer == "adagrad" else inner_dim**-0.5


def _tuned(name: str, method: str, purpose: str, look: Look, inner_dim: bool = False) -> tuple[Arm, Arm]:
    """An arm, and the same with its embedding learning rate chosen on validation."""
    tuned = Look(look.color, (0, (5, 1.5)) if look.dashes == "-" else (0, (5, 1.5, 1, 1.5)))
    said = f"{purpose}; embedding lr chosen on validation"
    return (
        Arm(name, method, purpose, look, inner_dim=inner_dim),
        Arm(f"{name}-lr-tuned", method, said, tuned, inner_dim=inner_dim, tunes_lr=True),
    )


_LIKE_K, _FROZEN = {"variance_like_k": True}, {"train_w2": False}
ARMS: Registry[Arm] = Registry("arm", built_in=(
    Arm("single", "single", "the paper's baseline: one n×d table", Look("#000000")),
    Arm("mlet", "mlet", "the paper's method: W1 (n×k) times W2 (k×d)", Look("#0072B2"), inner_dim=True),
    Arm("single-lr", "single", "step size: single with MLET's first step, lr × k/16 by SGD", Look("#E69F00", "--"),
        inner_dim=True, matches_lr=True),
    Arm("single-lr-tuned", "single", "the fair rival: embedding lr chosen on validation",
        Look("#D55E00", (0, (5, 1.5))), tunes_lr=True),
    Arm("single-init", "single", "initial scale: single with MLET's initial variance, × k/16", Look("#009E73", "-."),
        _LIKE_K, inner_dim=True),
    Arm("single-product-init", "single", "initial rank and law: single that starts as W1 W2", Look("#8C6D31", "-."),
        {"product_init": True}, inner_dim=True),
    Arm("single-freq-lr", "single", "rare rows' step: single with a row's lr by its training frequency^-1/2",
        Look("#999933", (0, (3, 1.5, 1, 1.5))), lr_frequency_power=-0.5),
    Arm("mlet-frozen", "mlet", "cross-category term: W2 stays at its initial value", Look("#56B4E9", (0, (1, 1.2))),
        _FROZEN, inner_dim=True),
    Arm("mlet-unit", "mlet", "MLET without the step-size gift: W2 std 1/sqrt(k) by SGD",
        Look("#CC79A7", (0, (4, 1.2, 1, 1.2, 1, 1.2))), inner_dim=True, unit_step=True),
    Arm("mlet-lr-tuned", "mlet", "MLET given the rival's tuning: lr of W1 chosen on validation",
        Look("#5B3FA0", (0, (5, 1.5))), inner_dim=True, tunes_lr=True),
    *_tuned("hash", "hash", "rivals: ids of equal remainder share a row", Look("#8C564B")),
    *_tuned("qr", "qr", "rivals: a row of the quotient plus one of the remainder", Look("#17839A")),
    Arm("qr-mult", "qr", "rivals: the product of both rows", Look("#17839A", ":"), {"operation": "mult"}),
    *_tuned("md", "md", "rivals: the more categories, the narrower the rows", Look("#7A7A00")),
    *_tuned("tt", "tt", "rivals: three tensor-train cores", Look("#D81B60")),
    Arm("tt-fbtt", "tt", "rivals: tensor-train cores with FBTT's initial law", Look("#D81B60", ":"), {"law": "fbtt"}),
    *_tuned("robe", "robe", "rivals: all fields share one array", Look("#666699")),
    *_tuned("mlet-hash", "mlet-hash", "MLET over hashed rows", Look("#0072B2", "--"), inner_dim=True),
    *_tuned("mlet-qr", "mlet-qr", "MLET over quotient and remainder", Look("#4477AA", "-."), inner_dim=True),
))  # fmt: skip


# A model's own hyper-parameters under a recipe stand with the model.
RECIPES: dict[str, dict[str, Any]] = {
    # The authors' fork of DLRM at commit 8a3e30e; on Criteo-Kaggle and Avazu alike.
    "authors": {"optimizer": "sgd", "lr": 0.2, "batch_size": 128},
    # The authors' DeepCTR code for paper B. Under Adagrad the sum of the loss and its mean are one run, but for eps and
    # for an epoch's last, shorter batch.
    "authors-b": {"optimizer": "adagrad", "lr": 0.02, "batch_size": 256, "loss": "sum", "w2_std": 0.5},
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
