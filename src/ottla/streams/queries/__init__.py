"""Questions to the stores of an application's other instances: what they are, who answers, and over HTTP."""
