"""Decide a launch: spec, prices, data, code and clock in; the exact requests and their price out."""
