"""A case as a standalone script. `script` writes it, the other files its parts."""
