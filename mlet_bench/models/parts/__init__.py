"""Layers that models are made of, a file a kind."""
