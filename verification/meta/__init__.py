"""Tests of the tests, in rooms named after those of verification/ that they test.

power/ asks what the whole finds, of layers and functions whose verdict is known: wrong ones in
faults/, wrong_twins/ and functions/, right ones in right/, shapes that were met in wild/, mutants
of the sources in mutants/, and gradcheck's promises in gradients/.
"""
