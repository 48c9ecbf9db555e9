"""The metadata of a cluster in etcd (https://etcd.io), for the extra `ottla[cluster]`."""

SEEN_FILE_NAME = "metadata-store.json"
"""In the data folder of a broker whose metadata is here: see `seen.Seen`"""
