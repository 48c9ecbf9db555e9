"""The version of plugins that come with Ottla: Ottla's own."""

from ottla import __version__ as VERSION  # noqa: N812

__all__ = ["VERSION"]
