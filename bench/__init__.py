"""Measurements of Ottla that anyone can run: `python -m bench --help`."""
