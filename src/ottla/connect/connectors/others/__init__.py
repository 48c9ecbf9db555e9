"""Connectors that others have written, for other frameworks: Singer's taps and targets, dlt's sources and
destinations.
"""
