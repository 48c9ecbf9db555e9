"""What clients tell of themselves."""
