"""Endpoints: their instances, who gets the next request, and how an update takes over."""
