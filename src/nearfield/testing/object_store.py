"""An object store on this machine: as much of S3 as the Lance store uses, in memory.

Conditional writes (``If-None-Match: *``) hold, for commits rest on them. Signatures are
not checked; a request that names no key is refused.
"""

from __future__ import annotations

import re
import threading
from email.utils import formatdate
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape, unescape

if TYPE_CHECKING:
    from collections.abc import Iterable

KEY_ID, SECRET = "LOOPBACKKEYID", "loopback-secret-key"


class ObjectServer:
    """Buckets of this process, at a port of 127.0.0.1.

    Attributes:
        url: Where it listens.
        objects: What is stored, by ``"/bucket/key"``.
        refusing: While set, every request is forbidden.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.changing = threading.Lock()
        self.refusing = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.store = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        """Start it."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def options(self) -> dict[str, str]:
        """Give what a client must be told: endpoint, keys and region, as Lance names them."""
        return {
            "aws_endpoint": self.url,
            "aws_access_key_id": KEY_ID,
            "aws_secret_access_key": SECRET,
            "aws_region": "us-east-1",
            "allow_http": "true",
        }

    def put(self, path: str, data: bytes, *, only_new: bool = False) -> bool:
        """Store an object; say whether it was, for ``only_new`` refuses to replace one."""
        with self.changing:
            if only_new and path in self.objects:
                return False
            self.objects[path] = data
            return True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        body, query = self._body(), self._query()
        source = self.headers.get("x-amz-copy-source")
        if self._refused():
            return
        if "uploadId" in query:
            self._store.uploads[query["uploadId"]][int(query["partNumber"])] = body
            self._say(200, headers={"ETag": _tag(body)})
            return
        if source is not None:
            body = self._store.objects["/" + unquote(source).lstrip("/")]
        only_new = self.headers.get("If-None-Match") == "*"
        if not self._store.put(self._path, body, only_new=only_new):
            self._fail(412, "PreconditionFailed")
        elif source is not None:
            done = f"<CopyObjectResult><ETag>{_tag(body)}</ETag></CopyObjectResult>"
            self._say(200, done.encode())
        else:
            self._say(200, headers={"ETag": _tag(body)})

    def do_POST(self) -> None:
        body, query = self._body(), self._query()
        if self._refused():
            return
        if "uploads" in query:
            name = f"upload-{len(self._store.uploads)}"
            self._store.uploads[name] = {}
            inner = f"<UploadId>{name}</UploadId>"
            self._say(200, _xml("InitiateMultipartUploadResult", [inner]))
        elif "uploadId" in query:
            pieces = self._store.uploads.pop(query["uploadId"])
            data = b"".join(pieces[number] for number in sorted(pieces))
            only_new = self.headers.get("If-None-Match") == "*"
            if not self._store.put(self._path, data, only_new=only_new):
                self._fail(412, "PreconditionFailed")
                return
            self._say(200, _xml("CompleteMultipartUploadResult", [f"<ETag>{_tag(data)}</ETag>"]))
        else:  # ?delete: many at once
            names = [unescape(key) for key in re.findall("<Key>(.*?)</Key>", body.decode())]
            with self._store.changing:
                for name in names:
                    self._store.objects.pop(f"{self._path.rstrip('/')}/{name}", None)
            gone = [f"<Deleted><Key>{escape(name)}</Key></Deleted>" for name in names]
            self._say(200, _xml("DeleteResult", gone))

    def do_GET(self) -> None:
        query = self._query()
        if self._refused():
            return
        if "list-type" in query:
            self._list(query)
            return
        data = self._store.objects.get(self._path)
        if data is None:
            self._fail(404, "NoSuchKey")
            return
        headers, status, whole = {"ETag": _tag(data)}, 200, len(data)
        span = self.headers.get("Range")
        if span is not None:
            first, _, last = span.removeprefix("bytes=").partition("-")
            start = int(first) if first else max(0, whole - int(last))
            end = min(whole, int(last) + 1) if first and last else whole
            data, status = data[start:end], 206
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{whole}"
        self._say(status, data, headers)

    do_HEAD = do_GET  # noqa: N815 - named by the standard library

    def do_DELETE(self) -> None:
        if not self._refused():
            with self._store.changing:
                self._store.objects.pop(self._path, None)
            self._say(204)

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""

    def _list(self, query: dict[str, str]) -> None:
        bucket, prefix = self._path.rstrip("/"), query.get("prefix", "")
        after = query.get("continuation-token") or query.get("start-after") or ""
        most, found, folders = int(query.get("max-keys", 1000)), list[str](), dict[str, None]()
        next_token = ""
        with self._store.changing:
            names = sorted(self._store.objects)
            sizes = {name: len(self._store.objects[name]) for name in names}
        for path in names:
            if not path.startswith(f"{bucket}/{prefix}"):
                continue
            name = path[len(bucket) + 1 :]
            head, slash, _ = name[len(prefix) :].partition("/")
            if query.get("delimiter") and slash:
                folders[prefix + head + "/"] = None
            elif name > after:
                if len(found) == most:
                    break
                next_token = name
                found.append(
                    f"<Contents><Key>{escape(name)}</Key><Size>{sizes[path]}</Size>"
                    "<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>x</ETag></Contents>"
                )
        else:
            next_token = ""
        shared = [
            f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in folders
        ]
        more = f"<IsTruncated>{'true' if next_token else 'false'}</IsTruncated>"
        if next_token:
            more += f"<NextContinuationToken>{escape(next_token)}</NextContinuationToken>"
        self._say(200, _xml("ListBucketResult", [more, *found, *shared]))

    @property
    def _store(self) -> ObjectServer:
        store: ObjectServer = self.server.store  # type: ignore[attr-defined]
        return store

    @property
    def _path(self) -> str:
        return unquote(urlsplit(self.path).path)

    def _query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _refused(self) -> bool:
        signed = KEY_ID in (self.headers.get("Authorization") or "")
        if self._store.refusing or not signed:
            self._fail(403, "AccessDenied")
            return True
        return False

    def _fail(self, status: int, code: str) -> None:
        self._say(status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode())

    def _say(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Last-Modified", formatdate(0, usegmt=True))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _tag(data: bytes) -> str:
    return f'"{md5(data, usedforsecurity=False).hexdigest()}"'


def _xml(name: str, inner: Iterable[str]) -> bytes:
    return f'<?xml version="1.0"?><{name}>{"".join(inner)}</{name}>'.encode()
