"""MongoDB in and out, with the settings of MongoDB's own connectors."""
