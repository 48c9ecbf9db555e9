"""Who may do what: principals and authorisation. Pure."""
