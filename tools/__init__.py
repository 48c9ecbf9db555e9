"""Tools for developing Ottla; not part of the distribution."""
