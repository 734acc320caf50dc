"""Layers in the shapes that hand-written ones have in public repositories, each right and wrong."""
