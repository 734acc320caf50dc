"""Tests of campaigns: selection, causes, shrinking, children, shards, databases, replays."""
