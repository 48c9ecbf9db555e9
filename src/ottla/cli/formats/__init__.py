"""Records as bytes and back, a file for each format, which has both ways: what `ottla consume` writes in a
format, `ottla produce` reads from it.
"""
