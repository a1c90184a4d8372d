"""From features or photos to a fitted model: the loop, its schedule, and what it takes to resume."""
