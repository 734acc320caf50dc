"""What is true of each kind of layer. The only rooms where torch.nn and autograd may compute."""
