"""The client's connections and its view of the cluster, on asyncio."""
