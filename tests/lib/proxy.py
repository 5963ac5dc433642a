"""A cable: passes bytes between its clients and a server, and can be cut. What is cut hears nothing of it."""

import select
import socket
import threading


class Proxy:
    def __init__(self, host, port):
        self.target = (host, port)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.mended, self.stopping = threading.Event(), threading.Event()
        self.mended.set()
        self.pairs, self.lock = [], threading.Lock()
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def cut(self):
        """Nothing passes any more, neither bytes nor the end of a connection."""
        self.mended.clear()

    def mend(self):
        self.mended.set()

    def accept(self):
        while not self.stopping.is_set():
            if not select.select([self.listener], [], [], 0.2)[0]:
                continue
            if not self.mended.wait(0.2):
                continue  # who connects waits in the backlog
            client, _ = self.listener.accept()
            try:
                server = socket.create_connection(self.target, timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            with self.lock:
                self.pairs.append((client, server))
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self.pump, args=(source, sink), daemon=True).start()

    def pump(self, source, sink):
        try:
            while not self.stopping.is_set():
                if not select.select([source], [], [], 0.2)[0]:
                    continue
                self.mended.wait()
                data = source.recv(65536)
                self.mended.wait()
                if not data:
                    break
                sink.sendall(data)
        except (OSError, ValueError):
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.stopping.set()
        self.mended.set()
        self.thread.join(2)
        self.listener.close()
        with self.lock:
            for pair in self.pairs:
                for end in pair:
                    end.close()
