"""What is shipped: the model's archive, the function's package, the serving image."""
