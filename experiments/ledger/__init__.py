"""What runs cost: lines at frozen prices, settled from what AWS reports, summed and held against its bill."""
