"""Where metadata lives: an asynchronous store in etcd's terms, on a node's own disk or in memory."""
