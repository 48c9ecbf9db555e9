"""The metadata of a cluster in etcd (https://etcd.io), for the extra `ottla[cluster]`."""
