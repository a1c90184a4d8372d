"""The hosts of one run: how they meet, who leads, and how all of them end when one does."""
