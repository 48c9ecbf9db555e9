"""What the parts of a process count and measure of themselves, and the form in which it is shown."""
