"""Mutants: every file of the judged and of the judge, one small change at a time, before the suite.

`python -m verification.meta.mutants` runs them; nothing of the project but this is imported before
`placing.Imported` watches what an import runs.
"""
