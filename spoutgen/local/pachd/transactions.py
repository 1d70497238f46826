"""transaction_v2.API, as far as the SDK needs it: requests are collected and happen together, or not at all.

As upstream does it, each new request is tried at once behind those before it, and what was tried is taken back; all of
a transaction's commits share its id (v2.11.6:src/internal/transactionenv).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from betterproto.lib.google.protobuf import Empty
from pachyderm_sdk.api import transaction

from spoutgen.local.pachd.commits import Commits
from spoutgen.local.pachd.wire import Call, Method
from spoutgen.local.refused import NotFoundError
from spoutgen.local.store import utc_now


class _TakenBackError(Exception):
    """Ends a trial, so that the store forgets it."""


@dataclass(slots=True)
class _Transaction:
    started: datetime = field(default_factory=utc_now)
    requests: list[tuple[str, Any, Call]] = field(default_factory=list)


class Transactions:
    """The open transactions; ``methods`` are the calls that may be parts of one."""

    def __init__(self, commits: Commits, methods: Mapping[str, Method], on_finished: Callable[[], None]) -> None:
        self._commits = commits
        self._methods = methods
        self._on_finished = on_finished
        self._open: dict[str, _Transaction] = {}

    def methods(self) -> dict[str, Method]:
        """The calls, by name."""
        table = {
            "StartTransaction": Method(transaction.StartTransactionRequest, self._start),
            "InspectTransaction": Method(transaction.InspectTransactionRequest, self._inspect),
            "ListTransaction": Method(transaction.ListTransactionRequest, self._list),
            "DeleteTransaction": Method(transaction.DeleteTransactionRequest, self._delete),
            "FinishTransaction": Method(transaction.FinishTransactionRequest, self._finish),
        }
        return {f"transaction_v2.API/{name}": method for name, method in table.items()}

    def add(self, id_: str, name: str, request: Any, call: Call) -> Any:
        """Try one more request, and keep it if it could be carried out."""
        found = self._find(id_)
        requests = [*found.requests, (name, request, call)]
        answers: list[Any] = []
        with self._commits.locked() as store:
            try:
                with store.writing():
                    answers += self._carry_out(requests)
                    raise _TakenBackError
            except _TakenBackError:
                found.requests = requests
        return answers[-1]

    def _carry_out(self, requests: list[tuple[str, Any, Call]]) -> list[Any]:
        return [self._methods[name].answer(request, call) for name, request, call in requests]

    def _find(self, id_: str) -> _Transaction:
        if id_ not in self._open:
            raise NotFoundError("transaction", id_)
        return self._open[id_]

    def _start(self, request: Any, call: Call) -> Any:
        id_ = uuid4().hex
        self._open[id_] = _Transaction()
        return transaction.Transaction(id=id_)

    def _inspect(self, request: Any, call: Call) -> Any:
        id_ = request.transaction.id
        return self._info(id_, self._find(id_))

    def _list(self, request: Any, call: Call) -> Any:
        return transaction.TransactionInfos(transaction_info=[self._info(*item) for item in self._open.items()])

    def _delete(self, request: Any, call: Call) -> Any:
        self._find(request.transaction.id)
        del self._open[request.transaction.id]
        return Empty()

    def _finish(self, request: Any, call: Call) -> Any:
        id_ = request.transaction.id
        found = self._find(id_)
        with self._commits.locked() as store, store.writing():
            self._carry_out(found.requests)
        del self._open[id_]
        self._commits.wake()
        self._on_finished()
        return self._info(id_, found)

    def _info(self, id_: str, found: _Transaction) -> Any:
        return transaction.TransactionInfo(
            transaction=transaction.Transaction(id=id_), started=found.started, version=len(found.requests)
        )
