"""HTTP as the platform's servers need it: the registry's, and that of Connect's workers."""
