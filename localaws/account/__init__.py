"""What moto keeps for us: IAM, buckets' settings, logs, metrics; and the roles that programs take."""
