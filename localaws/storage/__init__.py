"""S3's objects, on disk."""
