"""`ottla streams`: applications of `ottla.streams`, run and looked after."""
