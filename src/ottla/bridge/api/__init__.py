"""The operations of Strimzi's bridge, by what they are about."""
