"""Groups and their offsets: one partition of `__consumer_offsets` is one shard.

Reading order: `state` is what a shard holds, `shard` where requests, timers and records come in. `classic`
are the groups whose members assign among themselves, `modern` those that the coordinator assigns for;
`offsets` is what both commit.
"""
