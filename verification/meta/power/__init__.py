"""Tests of power: every fault is found, right layers are left alone, promises of gradcheck kept."""
