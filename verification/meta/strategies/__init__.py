"""Tests of what is drawn: every draw is a valid experiment, and every corner comes soon."""
