"""What a check found, as arrays, sentences and pictures."""
