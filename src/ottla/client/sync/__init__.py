"""The client for notebooks and scripts: the one for asyncio, in an event loop of its own in a thread."""
