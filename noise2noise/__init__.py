"""Noise2Noise: a denoiser trained by hand-written layers on noisy photographs alone.

After Lehtinen et al., "Noise2Noise: Learning Image Restoration without Clean Data" (2018), in the
form of the report that `scratch_layers` follows. `python -m noise2noise smoke` is the last step
of the gate.
"""
