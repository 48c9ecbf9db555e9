"""HTTP as the platform's servers need it: the registry's, the bridge's, and those of Connect and Streams."""
