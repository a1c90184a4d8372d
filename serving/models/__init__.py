"""What a model folder holds and what runs it: our archives, and the code that others packed."""
