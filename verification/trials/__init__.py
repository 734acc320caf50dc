"""A Case made real and judged."""
