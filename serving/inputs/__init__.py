"""From the body of a request to photographs: inline, from an allowed web host, or from S3."""
