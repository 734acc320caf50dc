"""The catalogue of wrong layers: each is one small edit of a right one, with the properties that must
catch it.
"""
