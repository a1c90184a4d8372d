"""Launch what was planned, watch it, keep what it says, and settle its account."""
