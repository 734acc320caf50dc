"""How a truth is computed together with the rounding error of a right computation."""
