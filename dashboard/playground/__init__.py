"""Try a photo on what is live, beside other releases, and under load."""
