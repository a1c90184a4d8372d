"""Where a price book comes from: AWS's Price List Query API, read page by page, and what changed."""
