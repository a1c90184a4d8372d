"""The model server, and the one definition of decode and transform that training shares."""
