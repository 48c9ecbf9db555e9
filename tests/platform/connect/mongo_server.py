"""MongoDB's wire protocol in tests: FerretDB where its program is, and a server of a few commands, which also
has change streams, as FerretDB has not."""

from __future__ import annotations

import contextlib
import shutil
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bson
import pymongo
from tests.platform.connect.databases import free_port
from tests.platform.connect.services import running

Document = dict[str, Any]
FERRETDB = shutil.which("ferretdb")

_QUERY, _REPLY, _MESSAGE = 2004, 1, 2013
_HELLO = {
    "ismaster": True, "isWritablePrimary": True, "helloOk": True, "maxBsonObjectSize": 16 << 20,
    "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000, "minWireVersion": 0,
    "maxWireVersion": 21, "ok": 1.0,
}  # fmt: skip


@contextmanager
def ferretdb(folder: Path) -> Iterator[str]:
    port = free_port()
    command = [str(FERRETDB), "--handler=sqlite", f"--sqlite-url=file:{folder}/", f"--state-dir={folder}",
               f"--listen-addr=127.0.0.1:{port}", "--telemetry=disable", "--debug-addr=-"]  # fmt: skip
    url = f"mongodb://127.0.0.1:{port}"
    with (
        pymongo.MongoClient[Document](url, serverSelectionTimeoutMS=500) as client,
        running(command, folder, lambda: client.admin.command("ping")),
    ):
        yield url


class Mongo:
    """Collections in memory. `log` is what change streams tell."""

    def __init__(self) -> None:
        self.collections: dict[tuple[str, str], dict[bytes, Document]] = {}
        self.log: list[Document] = []
        self.fail: Callable[[Document], Document | None] = lambda command: None
        """An answer in place of a command's own"""
        self.url = ""
        self._cursors: dict[int, Iterator[Document]] = {}
        self._streams: dict[int, tuple[tuple[str, str], int]] = {}
        self._lock = threading.Lock()

    def handle(self, command: Document) -> Document:
        with self._lock:
            name = next(iter(command))
            failed = None if name.lower() in ("hello", "ismaster") else self.fail(command)
            if failed is not None:
                return failed
            known = getattr(self, f"_{name.lower()}", None)
            if known is None:
                return {"ok": 0.0, "errmsg": f"no such command: {name}", "code": 59}
            return {"ok": 1.0, **known(command[name], command)}

    def _hello(self, _: object, command: Document) -> Document:
        return _HELLO

    _ismaster = _ping = _endsessions = _killcursors = _hello

    def _documents(self, name: str, command: Document) -> dict[bytes, Document]:
        return self.collections.setdefault((command["$db"], name), {})

    def _changed(self, kind: str, name: str, command: Document, id_: Any, document: Document | None) -> None:
        event = {"_id": {"_data": str(len(self.log) + 1)}, "operationType": kind,
                 "ns": {"db": command["$db"], "coll": name}, "documentKey": {"_id": id_}}  # fmt: skip
        self.log.append(event if document is None else event | {"fullDocument": document})

    def _insert(self, name: str, command: Document) -> Document:
        documents, errors, done = self._documents(name, command), [], 0
        for index, document in enumerate(command["documents"]):
            key = _key(document["_id"])
            if key in documents:
                text = f"E11000 duplicate key error collection: {name} index: _id_ dup key"
                errors.append({"index": index, "code": 11000, "errmsg": text})
                if command.get("ordered", True):
                    break
                continue
            documents[key] = document
            done += 1
            self._changed("insert", name, command, document["_id"], document)
        return {"n": done} | ({"writeErrors": errors} if errors else {})

    def _update(self, name: str, command: Document) -> Document:
        documents, upserted, count = self._documents(name, command), [], 0
        for index, update in enumerate(command["updates"]):
            where, change = update["q"], update["u"]
            found = [key for key, one in documents.items() if _matches(one, where)]
            count += 1
            if found:
                old = documents[found[0]]
                made = {**old, **change["$set"]} if "$set" in change else {"_id": old["_id"], **change}
                documents[found[0]] = made
                self._changed("replace", name, command, made["_id"], made)
            elif update.get("upsert"):
                made = {"_id": bson.ObjectId(), **{name: one["$eq"] for name, one in where.items()}}
                made |= {**change["$set"], **change.get("$setOnInsert", {})} if "$set" in change else change
                documents[_key(made["_id"])] = made
                upserted.append({"index": index, "_id": made["_id"]})
                self._changed("insert", name, command, made["_id"], made)
        return {"n": count, "nModified": count} | ({"upserted": upserted} if upserted else {})

    def _delete(self, name: str, command: Document) -> Document:
        documents, count = self._documents(name, command), 0
        for delete in command["deletes"]:
            for key in [key for key, one in documents.items() if _matches(one, delete["q"])]:
                self._changed("delete", name, command, documents.pop(key)["_id"], None)
                count += 1
        return {"n": count}

    def _find(self, name: str, command: Document) -> Document:
        found = [
            one for one in self._documents(name, command).values() if _matches(one, command.get("filter", {}))
        ]
        if command.get("sort"):
            found.sort(key=lambda one: _rank(one["_id"]))
        return self._cursor(iter(found), name, command)

    def _drop(self, name: str, command: Document) -> Document:
        self.collections.pop((command["$db"], name), None)
        return {}

    def _listcollections(self, _: object, command: Document) -> Document:
        names = [coll for db, coll in self.collections if db == command["$db"]]
        return self._cursor(
            iter([{"name": name, "type": "collection"} for name in names]), "$cmd.list", command
        )

    def _aggregate(self, name: str | int, command: Document) -> Document:
        stage = command["pipeline"][0]["$changeStream"]
        coll = name if isinstance(name, str) else ""
        place = int(stage["resumeAfter"]["_data"]) if "resumeAfter" in stage else len(self.log)
        if place > len(self.log):
            return {"ok": 0.0, "code": 286, "errmsg": "the resume point may no longer be in the oplog"}
        id_ = 1000 + len(self._streams)
        self._streams[id_] = (command["$db"], coll), place
        return {"cursor": {"id": bson.Int64(id_), "firstBatch": [],
                           "ns": f"{command['$db']}.{coll or '$cmd.aggregate'}",
                           "postBatchResumeToken": {"_data": str(place)}}}  # fmt: skip

    def _getmore(self, id_: int, command: Document) -> Document:
        namespace = f"{command['$db']}.{command['collection']}"
        if id_ not in self._streams:
            return self._batch(id_, namespace, command, "nextBatch")
        (database, collection), place = self._streams[id_]
        of_database = [event for event in self.log[place:] if event["ns"]["db"] == database]
        batch = [event for event in of_database if collection in ("", event["ns"]["coll"])]
        self._streams[id_] = (database, collection), len(self.log)
        return {"cursor": {"id": bson.Int64(id_), "ns": namespace, "nextBatch": batch,
                           "postBatchResumeToken": {"_data": str(len(self.log))}}}  # fmt: skip

    def _cursor(self, found: Iterator[Document], name: str, command: Document) -> Document:
        id_ = 1 + len(self._cursors)
        self._cursors[id_] = found
        return self._batch(id_, f"{command['$db']}.{name}", command, "firstBatch")

    def _batch(self, id_: int, namespace: str, command: Document, field: str) -> Document:
        size = command.get("batchSize") or 101
        batch = [one for _, one in zip(range(size), self._cursors[id_], strict=False)]
        left = id_ if len(batch) == size else 0
        return {"cursor": {"id": bson.Int64(left), "ns": namespace, field: batch}}


def _key(value: Any) -> bytes:
    return bson.encode({"": value})


def _rank(value: Any) -> tuple[int, Any]:
    """BSON's order: numbers, texts, others."""
    return 0 if isinstance(value, int | float) else 1 if isinstance(value, str) else 2, value


def _matches(document: Document, where: Document) -> bool:
    for name, wanted in where.items():
        if name == "$expr":
            _, literal = wanted["$gt"]
            if not _rank(document["_id"]) > _rank(literal["$literal"]):
                return False
            continue
        found = document.get(name)
        if isinstance(wanted, dict) and "$eq" in wanted:
            wanted = wanted["$eq"]
        if found != wanted:
            return False
    return True


def _message(flags_and_sections: bytes) -> Document:
    """The command of an OP_MSG."""
    rest, command, sequences = flags_and_sections[4:], {}, {}
    while rest:
        if rest[0] == 0:
            size = struct.unpack_from("<i", rest, 1)[0]
            command, rest = bson.decode(rest[1 : 1 + size]), rest[1 + size :]
        else:
            size = struct.unpack_from("<i", rest, 1)[0]
            name, _, documents = rest[5 : 1 + size].partition(b"\0")
            sequences[name.decode()], rest = bson.decode_all(documents), rest[1 + size :]
    return {**command, **sequences}


@contextmanager
def mongo_server() -> Iterator[Mongo]:
    mongo = Mongo()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                while len(header := self.rfile.read(16)) == 16:
                    length, request, _, code = struct.unpack("<iiii", header)
                    body = self.rfile.read(length - 16)
                    if code == _QUERY:
                        answer = struct.pack("<iqii", 8, 0, 0, 1) + bson.encode(_HELLO)
                        reply = _REPLY
                    else:
                        answer = bytes(5) + bson.encode(mongo.handle(_message(body)))
                        reply = _MESSAGE
                    self.wfile.write(struct.pack("<iiii", 16 + len(answer), 0, request, reply) + answer)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        mongo.url = f"mongodb://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield mongo
        server.shutdown()
        thread.join()
