"""What a run found, for people and machines: failure text, summary, verdict."""
