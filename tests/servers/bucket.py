"""An object store in a few lines, in memory: as much of S3 as lets a broker that keeps its data there be restarted.

Who may is not asked: it listens on 127.0.0.1, and lives for one test.
"""

from __future__ import annotations

import hashlib
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


class Bucket:
    """``url`` is the endpoint; ``objects`` are all that was ever put and not deleted, by path."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _requests(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, name="bucket", daemon=True).start()

    def close(self) -> None:
        """Forget everything."""
        self._server.shutdown()
        self._server.server_close()


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'


def _requests(bucket: Bucket) -> type[BaseHTTPRequestHandler]:
    class Requests(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            self.connection.setsockopt(6, 1, 1)  # TCP_NODELAY

        def log_message(self, *_: object) -> None:
            pass

        def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def _key(self) -> str:
            return unquote(urlsplit(self.path).path)

        def do_PUT(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with bucket.lock:
                before = bucket.objects.get(self._key())
                if (self.headers.get("If-None-Match") == "*" and before is not None) or (
                    (wanted := self.headers.get("If-Match")) and (before is None or _etag(before) != wanted)
                ):
                    return self._answer(412)
                bucket.objects[self._key()] = data
            return self._answer(200, ETag=_etag(data))

        def do_GET(self) -> None:
            if "list-type" in (asked := parse_qs(urlsplit(self.path).query)):
                return self._list(asked)
            with bucket.lock:
                data = bucket.objects.get(self._key())
            if data is None:
                return self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            facts = {"ETag": _etag(data), "Last_Modified": formatdate(usegmt=True)}
            if (wanted := self.headers.get("If-None-Match")) and wanted == facts["ETag"]:
                return self._answer(304, **facts)
            if span := self.headers.get("Range"):
                first, _, last = span.removeprefix("bytes=").partition("-")
                end = min(len(data), int(last) + 1) if last else len(data)
                facts["Content_Range"] = f"bytes {first}-{end - 1}/{len(data)}"
                return self._answer(206, data[int(first) : end], **facts)
            return self._answer(200, data, **facts)

        do_HEAD = do_GET  # noqa: N815

        def do_DELETE(self) -> None:
            with bucket.lock:
                bucket.objects.pop(self._key(), None)
            self._answer(204)

        def do_POST(self) -> None:
            """Deleting many at once."""
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            root = self._key().rstrip("/") + "/"
            with bucket.lock:
                for part in body.split("<Key>")[1:]:
                    bucket.objects.pop(root + part.split("</Key>")[0], None)
            self._answer(200, b"<DeleteResult></DeleteResult>")

        def _list(self, asked: dict[str, list[str]]) -> None:
            root = self._key().rstrip("/") + "/"
            prefix, delimiter = asked.get("prefix", [""])[0], asked.get("delimiter", [""])[0]
            after = max(asked.get("start-after", [""])[0], asked.get("continuation-token", [""])[0])
            with bucket.lock:
                names = sorted(name.removeprefix(root) for name in bucket.objects if name.startswith(root + prefix))
                folders, contents = set(), []
                for name in names:
                    rest = name[len(prefix) :]
                    if delimiter and delimiter in rest:
                        folders.add(prefix + rest.split(delimiter)[0] + delimiter)
                    elif name > after:
                        data = bucket.objects[root + name]
                        contents.append(
                            f"<Contents><Key>{escape(name)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                            f"<ETag>{escape(_etag(data))}</ETag><Size>{len(data)}</Size></Contents>"
                        )
            listed = "".join(
                f"<CommonPrefixes><Prefix>{escape(each)}</Prefix></CommonPrefixes>" for each in sorted(folders)
            )
            body = f"<ListBucketResult><IsTruncated>false</IsTruncated>{''.join(contents)}{listed}</ListBucketResult>"
            self._answer(200, body.encode(), Content_Type="application/xml")

    return Requests
