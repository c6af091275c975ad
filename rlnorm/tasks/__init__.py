"""What there is to learn: gymnasium environments and data sets, by name."""
