"""Who may do what, held against what the code does: a table of calls, one template, and a review."""
