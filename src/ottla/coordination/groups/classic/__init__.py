"""The classic rebalance protocol: the members' leader assigns, the coordinator keeps the rounds.

A rebalance has two parked rounds. Joins wait until every member has rejoined or the rebalance timeout is
over; syncs wait until the leader's assignment is written. KIP-345 adds static members, KIP-394 the member id
that is handed out before the first real join, KIP-134 the initial delay.
"""
