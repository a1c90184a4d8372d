"""A run goes live, or an earlier release comes back."""
