"""The domain: what to run, what it will cost, what it did cost, and which run was worth it."""
