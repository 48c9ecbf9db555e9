"""A worker: what is decided (pure), and the shell that runs connectors and their tasks in processes of their
own.
"""
