"""What downloads and uploads use of the Hugging Face Hub's interface, in this process: repositories in memory."""

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


class FakeHub:
    """repositories: of each name its commits, mappings of file names to bytes; asked: the paths of all requests."""

    def __init__(self):
        self.repositories, self.asked = {}, []
        self.token = "hf_right"
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def commit(self, repo, files):
        commits = self.repositories.setdefault(repo, [])
        commits.append({**(commits[-1] if commits else {}), **files})
        return self.sha(repo, len(commits) - 1)

    def sha(self, repo, i):
        return hashlib.sha1(f"{repo} {i}".encode()).hexdigest()

    def find(self, repo, revision):
        """(commit, its files), or None."""
        commits = self.repositories[repo]
        if revision in (None, "main"):
            return self.sha(repo, len(commits) - 1), commits[-1]
        return next(((self.sha(repo, i), c) for i, c in enumerate(commits) if self.sha(repo, i) == revision), None)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def answer(self, status, body=b"", **headers):
        if not isinstance(body, bytes):
            body, headers = json.dumps(body).encode(), {"content_type": "application/json", **headers}
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def missing(self, code):
        self.answer(404, {"error": code}, x_error_code=code, x_error_message=code)

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(path)
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+?)(?:/revision/(.+))?", path):
            repo, revision = match.groups()
            if repo not in self.hub.repositories:
                return self.missing("RepoNotFound")
            found = self.hub.find(repo, revision)
            if found is None:
                return self.missing("RevisionNotFound")
            commit, files = found
            siblings = [{"rfilename": name, "size": len(body)} for name, body in files.items()]
            return self.answer(200, {"id": repo, "modelId": repo, "sha": commit, "siblings": siblings, "tags": []})
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)/?", path):
            _, files = self.hub.find(*match.groups())
            rows = [
                {"type": "file", "path": name, "size": len(body), "oid": hashlib.sha1(body).hexdigest()}
                for name, body in files.items()
            ]
            return self.answer(200, rows)
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            repo, revision, name = match.groups()
            commit, files = self.hub.find(repo, revision)
            if name not in files:
                return self.missing("EntryNotFound")
            etag = f'"{hashlib.sha1(files[name]).hexdigest()}"'
            return self.answer(200, files[name], x_repo_commit=commit, ETag=etag)
        return self.missing("Unknown")

    do_HEAD = do_GET

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else self._chunks()
        path = urlsplit(self.path).path
        self.hub.asked.append(path)
        if self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            return self.answer(401, {"error": "Invalid credentials"})
        if path == "/api/validate-yaml":
            return self.answer(200, {"errors": [], "warnings": []})
        if path == "/api/repos/create":
            wanted = json.loads(body)
            repo = f"{wanted.get('organization') or 'me'}/{wanted['name']}"
            self.hub.repositories.setdefault(repo, [{}])
            return self.answer(200, {"url": f"{self.hub.url}/{repo}", "name": repo})
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/main", path):
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]
            ]
            return self.answer(200, {"files": files})
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", path):
            rows = [json.loads(line) for line in body.splitlines() if line]
            files = {r["value"]["path"]: base64.b64decode(r["value"]["content"]) for r in rows if r["key"] == "file"}
            commit = self.hub.commit(match[1], files)
            url = f"{self.hub.url}/{match[1]}/commit/{commit}"
            return self.answer(200, {"success": True, "commitOid": commit, "commitUrl": url})
        return self.missing("Unknown")

    def _chunks(self):
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)
