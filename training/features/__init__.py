"""From photos to features: each photo is decoded once and goes through the network once.

`FeatureTable` is the contract with whatever trains on features; `extract` is the plain pass.
"""

from training.features.extract import extract, extract_shared
from training.features.table import Features, FeatureTable

__all__ = ["FeatureTable", "Features", "extract", "extract_shared"]
