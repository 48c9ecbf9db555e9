"""The transactions of producers as pure state machines (KIP-98, KIP-360, KIP-890).

`state` says what a transactional id is and how it may change, `initialize` who may use it, `end` how its
transactions end, `markers` what is then written to their partitions, `listing` how they are shown; `shard` is
where requests, timers and records come in.
"""
