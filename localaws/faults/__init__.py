"""Faults on demand: calls that are throttled, fail, vanish or tell of yesterday."""
