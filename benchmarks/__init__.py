"""What the layers cost, against torch.nn, the report's two ways and earlier runs."""
