"""From the best run to a live answer: choose, plan, apply, undo and ask."""
