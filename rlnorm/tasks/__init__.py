"""Tasks by name: gymnasium environments and data sets."""
