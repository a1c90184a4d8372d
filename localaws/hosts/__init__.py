"""Real processes that stand for containers, hosts and instances."""
