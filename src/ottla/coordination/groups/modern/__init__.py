"""Groups that the coordinator assigns for (KIP-848).

All kinds of them share the group's epochs and members (`group`), what subscriptions mean (`topics`), what
everybody shall own (`target`, by one of the `assignors`), and a member's next step to it (`reconcile`).
"""
