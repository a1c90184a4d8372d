"""The training program that ships to an instance: a frozen backbone and a trained head."""
