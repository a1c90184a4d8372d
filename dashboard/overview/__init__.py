"""What is live, what ran, and what needs a hand."""
