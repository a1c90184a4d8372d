"""What a run will take and cost before it starts: learned from the runs on record, with an interval."""
