"""From photos to features: each photo is decoded once and goes through the network once.

`FeatureTable` is the contract with whatever trains on features.
"""

from training.features.table import Features, FeatureTable

__all__ = ["FeatureTable", "Features"]
