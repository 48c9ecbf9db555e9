"""`ottla produce`: what is read (`input`), and how it is sent (`sending`)."""
