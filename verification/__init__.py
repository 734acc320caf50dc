"""The suite: is a hand-written layer right, forward and backward, over its whole space of
configurations?
"""
