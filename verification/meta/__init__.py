"""Tests of the tests: faults that each property must catch, strategies that must reach, bounds that
must hold.
"""
