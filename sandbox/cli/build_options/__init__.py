"""The larger options of `sandbox build`."""
