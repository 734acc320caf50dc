"""What to try: Hypothesis strategies that draw Cases. Specs are drawn, elements never are."""
