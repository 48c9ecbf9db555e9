"""Listeners, connections, frames in and answers out, and the memory they may take."""
