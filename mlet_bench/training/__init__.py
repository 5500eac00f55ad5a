"""Training: one optimisation step, the loop around it, and checkpoints."""
