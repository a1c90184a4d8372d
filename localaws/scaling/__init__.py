"""Application Auto Scaling, acting as target tracking does."""
