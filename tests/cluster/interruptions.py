"""A connection to a 2.x cluster that drops at a chosen call."""

from __future__ import annotations

import grpc

from spoutgen.cluster.v2 import ClusterV2


def lose(monkeypatch, call, *, is_done):
    """The connection drops at a call, before or after it is carried out; returns what puts it right again."""
    name, _, is_second = call.partition(" ")
    left, whole = [2 if is_second else 1], getattr(ClusterV2, name)

    def cut(self, *arguments, **options):
        left[0] -= 1
        if left[0] or is_done:
            whole(self, *arguments, **options)
        if left[0] == 0:
            with self._connection.asking():
                raise LostError

    monkeypatch.setattr(ClusterV2, name, cut)
    return lambda: monkeypatch.setattr(ClusterV2, name, whole)


class LostError(grpc.RpcError):
    """The connection drops."""

    def code(self):
        return grpc.StatusCode.UNAVAILABLE

    def details(self):
        return "Socket closed"
