"""Tests of what a run leaves behind: the page, the summary, scripts, baselines, a CI's lines."""
