"""Who was refused, and who changed what: an object for each, in a file and in a topic."""
