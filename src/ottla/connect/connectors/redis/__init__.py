"""Redis in and out, with the settings of Redis' own connectors."""
