"""Consumer groups: the protocol of KIP-848, in which the coordinator assigns.

Reading order: `member` and `group` are the state, `replay` is what changes it, `heartbeat` is the protocol's
one request. A heartbeat goes through `update`. `membership` is how members come and go, `classic_compat`
serves members of the old protocol and `migration` turns groups of one kind into the other.
"""
