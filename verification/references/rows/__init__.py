"""The rows: what is true of each kind of layer, one family a file."""
