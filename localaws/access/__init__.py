"""What a caller may do: IAM's identity policies, asked about or enforced."""
