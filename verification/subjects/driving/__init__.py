"""Somebody's layer or function built and driven, in whatever form it is written."""
