"""Tests of how somebody's code is driven, described, told of, and put on a simulated device."""
