"""benghaem/dlrm_mlet, the authors' fork: model and training of MLET, with W2 trained, frozen and constant."""

from agreements import Agreement, comparison
from checkouts import FORK
from model_agreement import SHAPES, TYPES, after_steps, one_batch


@comparison
def fork_model() -> list[Agreement]:
    """Predictions, loss, gradients; W2 trained and frozen."""
    cells = [(w2, name, precision) for w2 in ("trained", "frozen") for name in SHAPES for precision in TYPES]
    return [line for w2, name, precision in cells for line in one_batch(FORK, name, w2, precision)]


@comparison
def fork_training_w2_trained() -> list[Agreement]:
    """MLET as the authors train it."""
    return [line for name in SHAPES for precision in TYPES for line in after_steps(FORK, name, "trained", precision)]


@comparison
def fork_training_w2_frozen() -> list[Agreement]:
    """MLET without gradients for W2."""
    return [line for precision in TYPES for line in after_steps(FORK, "criteo-kaggle", "frozen", precision)]


@comparison
def fork_training_w2_constant() -> list[Agreement]:
    """The fork's own way to hold W2 fixed: its random-projection option, given our W2."""
    return after_steps(FORK, "criteo-kaggle", "constant", "float64")


@comparison
def fork_training_single() -> list[Agreement]:
    """The fork's baseline."""
    return after_steps(FORK, "avazu", None, "float64")
