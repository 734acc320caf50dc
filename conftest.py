"""The suite's own options and profiles, for every test of this repository."""

import hypothesis
import torch

from verification.running import profiles

# The name under which the entry point of an installed copy is known: pytest takes it once.
pytest_plugins = ["verification.plugin"]

profiles.register()
hypothesis.settings.load_profile(profiles.default())

# Two workers of two threads each ran up to fifty times slower than two of one.
torch.set_num_threads(1)
