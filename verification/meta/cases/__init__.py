"""Tests of what a case is: its file, its tensors and calls, what a replay shows."""
