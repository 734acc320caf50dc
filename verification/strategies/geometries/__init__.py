"""How each kind of layer is built and the shapes of its tensors, one family a file."""
