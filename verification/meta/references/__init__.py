"""Tests of truths and bounds: torch's own layers stay within them, wrong twins do not."""
