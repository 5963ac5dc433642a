"""Somebody who is told by HTTP: keeps what was posted, and answers as a test wants."""

import base64
import hashlib
import hmac
import http.server
import json
import socketserver
import threading
import time


class Posted:
    def __init__(self, path, headers, body):
        self.path, self.headers, self.body, self.at = path, headers, body, time.time()

    @property
    def json(self):
        return json.loads(self.body)


class Receiver:
    """On a free loopback port, or on `port`. `answer`: a status, (status, headers), or a function of a Posted that gives one; None:
    no answer at all, until the receiver is closed."""

    def __init__(self, answer=200, port=0):
        self.answer, self.posts, self.most_at_once = answer, [], 0
        self.lock, self.closing, self.at_once = threading.Lock(), threading.Event(), 0
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                posted = Posted(self.path, self.headers, self.rfile.read(int(self.headers.get("Content-Length", 0))))
                with receiver.lock:
                    receiver.posts.append(posted)
                    receiver.at_once += 1
                    receiver.most_at_once = max(receiver.most_at_once, receiver.at_once)
                answer = receiver.answer(posted) if callable(receiver.answer) else receiver.answer
                if answer is None:
                    receiver.closing.wait()
                with receiver.lock:
                    receiver.at_once -= 1
                if answer is None:
                    self.close_connection = True
                    return
                status, headers = answer if isinstance(answer, tuple) else (answer, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *args):
                pass

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads, allow_reuse_address, request_queue_size = True, True, 128

            def handle_error(self, *args):
                pass  # a sender that was killed

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def taken(self):
        with self.lock:
            return list(self.posts)

    def close(self):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def signature_good(posted, secret):
    """By the words of the Standard Webhooks specification, with nothing but the standard library."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = b".".join([posted.headers["webhook-id"].encode(), posted.headers["webhook-timestamp"].encode(), posted.body])
    wanted = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return abs(int(posted.headers["webhook-timestamp"]) - posted.at) < 60 and wanted in posted.headers["webhook-signature"].split(" ")
