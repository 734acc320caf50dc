"""Mutants: every file of the judged and of the judge, one small change at a time, before the suite.

`python -m verification.meta.mutants` runs them; nothing of the project is imported before a mutant
is in its place, so that what judges it has seen no other version of it.
"""
