"""Checks of rlnorm against other software; may import from every room below `claims`."""
