"""Serves the repositories below a directory by git-http-backend, on a port of its own choice.

Usage: git_http.py ROOT [CERTIFICATE KEY] ; with PASSWORD in the environment, any user must give it.
Prints its port, then a line for each request.
"""

import base64, http.server, os, ssl, subprocess, sys

ROOT = sys.argv[1]
PASSWORD = os.environ.get("PASSWORD")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def allowed(self):
        scheme, _, value = self.headers.get("Authorization", "").partition(" ")
        return PASSWORD is None or (
            scheme == "Basic" and base64.b64decode(value).decode().partition(":")[2] == PASSWORD
        )

    def serve(self):
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if path.startswith("/moved/"):
            return self.answer(302, [("Location", os.environ["MOVED_TO"] + self.path[len("/moved"):])], b"")
        if not self.allowed():
            return self.answer(401, [("WWW-Authenticate", 'Basic realm="git"')], b"")
        environment = dict(
            os.environ, GIT_PROJECT_ROOT=ROOT, GIT_HTTP_EXPORT_ALL="1", PATH_INFO=path, QUERY_STRING=query,
            REQUEST_METHOD=self.command, CONTENT_TYPE=self.headers.get("Content-Type", ""),
            CONTENT_LENGTH=str(len(body)), HTTP_CONTENT_ENCODING=self.headers.get("Content-Encoding", ""),
        )
        output = subprocess.run(["git", "http-backend"], input=body, env=environment, stdout=subprocess.PIPE).stdout
        head, _, content = output.partition(b"\r\n\r\n")
        headers = [tuple(line.split(": ", 1)) for line in head.decode().split("\r\n")]
        status = int(dict(headers).get("Status", "200").split()[0])
        self.answer(status, [header for header in headers if header[0] != "Status"], content)

    def answer(self, status, headers, content):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = serve

    def log_message(self, form, *arguments):
        print(form % arguments, flush=True)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
