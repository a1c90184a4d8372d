"""What serving settings would cost and how they would feel."""
