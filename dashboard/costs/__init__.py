"""Where the money went, and where the month will end."""
