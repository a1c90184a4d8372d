"""A short load test of what is live: planned with its price, then questions at a steady rate."""
