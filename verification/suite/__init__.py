"""The suite itself, as pytest collects it."""
