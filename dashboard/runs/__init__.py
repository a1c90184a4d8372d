"""The Runs page: which run was worth its money."""
