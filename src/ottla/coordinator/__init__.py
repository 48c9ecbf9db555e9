"""The shell around the coordinators' cores: appends, answers, timers."""
