"""facebookresearch/dlrm: model and training of single-layer tables."""

from agreements import Agreement, comparison
from checkouts import DLRM
from model_agreement import SHAPES, TYPES, after_steps, one_batch


@comparison
def dlrm_model() -> list[Agreement]:
    """Predictions, loss, gradients."""
    return [line for name in SHAPES for precision in TYPES for line in one_batch(DLRM, name, None, precision)]


@comparison
def dlrm_training() -> list[Agreement]:
    """Training at the authors' learning rate."""
    return [line for name in SHAPES for precision in TYPES for line in after_steps(DLRM, name, None, precision)]


@comparison
def dlrm_training_own_recipe() -> list[Agreement]:
    """Training with the learning rate and the bottom MLP of the peer's own Criteo script."""
    return [
        line
        for precision in TYPES
        for line in after_steps(DLRM, "criteo-kaggle", None, precision, lr=0.1, bottom=(512, 256, 64))
    ]
