"""Qdrant's REST interface on a loopback port, answered by the client's own memory store. No Qdrant server runs here.

Everything that the store sends goes over HTTP as JSON, is read by the client library's own models, and is recorded.
Indexes, shards, quantization and approximate search are accepted and not carried out.
"""

import json
import threading
import warnings
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from pydantic import TypeAdapter
from qdrant_client import QdrantClient, models


class Loopback:
    """A server at `url`. `requests` holds (method, path, body); statuses in `faults` answer the next requests."""

    def __init__(self, version="1.20.0", key=""):
        self.version, self.key = version, key
        self.memory = QdrantClient(":memory:", force_disable_check_same_thread=True)
        self.requests, self.faults = [], []
        self.before = lambda method, path, body: None
        self.lock = threading.RLock()
        loopback = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 60

            def handle_one(self):
                size = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(size)) if size else {}
                if loopback.key and self.headers.get("api-key") != loopback.key:
                    return self.answer(401, {"status": {"error": "Must provide an API key"}})
                status, answer = loopback.handle(self.command, urlsplit(self.path).path, body)
                return self.answer(status, answer)

            do_GET = do_POST = do_PUT = do_DELETE = handle_one

            def answer(self, status, body):
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def handle(self, method, path, body):
        with self.lock:
            self.requests.append((method, path, body))
            self.before(method, path, body)
            if self.faults:
                status = self.faults.pop(0)
                return status, {"status": {"error": f"fault {status}"}}
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    found = self._call(method, *path.strip("/").split("/"), body=body)
            except ValueError as error:
                return (404 if "not found" in str(error) else 400), {"status": {"error": str(error)}}
            if path == "/":
                return 200, found
            plain = TypeAdapter(type(found)).dump_python(found, mode="json") if found is not None else None
            return 200, {"result": plain, "status": "ok", "time": 0.0}

    def _call(self, method, *parts, body):
        m = self.memory
        match (method, *parts):
            case ("GET", ""):
                return {"title": "qdrant", "version": self.version}
            case ("GET", "aliases"):
                return m.get_aliases()
            case ("GET", "collections"):
                return m.get_collections()
            case ("POST", "collections", "aliases"):
                return m.update_collection_aliases(models.ChangeAliasesOperation(**body).actions)
            case ("GET", "collections", name, "exists"):
                return models.CollectionExistence(exists=m.collection_exists(name))
            case ("PUT", "collections", name):
                asked = models.CreateCollection(**body)
                return m.create_collection(name, asked.vectors, asked.sparse_vectors)
            case ("DELETE", "collections", name):
                return m.delete_collection(name)
            case ("PUT", "collections", name, "index"):
                models.CreateFieldIndex(**body)
                return models.UpdateResult(operation_id=0, status=models.UpdateStatus.COMPLETED)
            case (_, "collections", name, "points", *rest):
                return self._points(method, name, "/".join(rest), body)
        raise ValueError(f"{method} {parts} not found")

    def _points(self, method, name, what, body):
        m = self.memory
        match (method, what):
            case ("PUT", ""):
                return m.upsert(name, models.PointsList(**body).points)
            case ("POST", ""):
                asked = models.PointRequest(**body)
                return m.retrieve(name, asked.ids, _or(asked.with_payload, True), _or(asked.with_vector, False))
            case ("POST", "delete"):
                return m.delete(name, TypeAdapter(models.PointsSelector).validate_python(body))
            case ("POST", "scroll"):
                asked = models.ScrollRequest(**body)
                points, after = m.scroll(
                    name,
                    asked.filter,
                    asked.limit,
                    None,
                    asked.offset,
                    asked.with_payload,
                    _or(asked.with_vector, False),
                )
                return models.ScrollResult(points=points, next_page_offset=after)
            case ("POST", "count"):
                return m.count(name, models.CountRequest(**body).filter)
            case ("POST", "query"):
                asked = models.QueryRequest(**body)
                return m.query_points(
                    name, asked.query, asked.using, query_filter=asked.filter, limit=asked.limit, with_payload=True
                )
            case ("POST", "batch"):
                return m.batch_update_points(name, models.UpdateOperations(**body).operations)
            case ("POST", "payload"):
                asked = models.SetPayload(**body)
                return m.set_payload(name, asked.payload, asked.filter or asked.points)
            case ("POST", "payload/delete"):
                asked = models.DeletePayload(**body)
                return m.delete_payload(name, asked.keys, asked.filter or asked.points)
        raise ValueError(f"{method} points/{what} not found")


def _or(value, default):
    return default if value is None else value


@contextmanager
def running(**options):
    """A loopback server, closed at the end."""
    server = Loopback(**options)
    try:
        yield server
    finally:
        server.close()
