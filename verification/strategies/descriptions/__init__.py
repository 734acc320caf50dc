"""Inputs described in a line each: their extents, and which numbers they may hold."""
