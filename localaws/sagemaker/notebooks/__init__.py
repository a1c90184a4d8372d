"""Notebook instances: their records, their states, and lifecycle scripts that really run."""
