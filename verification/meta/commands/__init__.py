"""Tests of the ways in: the command line, and properties as pytest items."""
