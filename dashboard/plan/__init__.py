"""The Plan page: what a run would take and cost, here or on another machine."""
