"""HTTP in, AWS's protocols understood, the right service asked, the answer written."""
