"""Many clients in one process, each a nuisance of its own: never done, never reading, never there."""

import resource
import selectors
import socket
import struct
import time

HOST = b"Host: localhost\r\n"
RESET = struct.pack("ii", 1, 0)
HEAD = b"GET /jobs HTTP/1.1\r\n" + HOST
BODY = b"POST /run HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\n\r\n{"


def raise_descriptors(wanted):
    """True when this process may have so many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        return False
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    return True


class Clients:
    """Connections that each send a beginning, and then `drip` bytes a second of nothing in particular."""

    def __init__(self, port):
        self.port, self.socks, self.ended = port, [], 0
        self.selector = selectors.DefaultSelector()

    def add(self, n, beginning=b"", read=True, buffer=0):
        for _ in range(n):
            sock = socket.socket()
            if buffer:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            sock.settimeout(10)
            sock.connect(("127.0.0.1", self.port))
            sock.setblocking(False)
            if beginning:
                try:
                    sock.send(beginning)
                except OSError:
                    pass
            if read:
                self.selector.register(sock, selectors.EVENT_READ)
            self.socks.append(sock)

    def run(self, seconds, drip=b"", meanwhile=lambda: None, until=lambda: False):
        """A byte or so a second each. What comes is read and thrown away; who is closed stays so."""
        end, next_drip = time.monotonic() + seconds, 0.0
        while (now := time.monotonic()) < end and not until():
            if drip and now >= next_drip:
                next_drip = now + 1
                for sock in self.socks:
                    try:
                        sock.send(drip)
                    except OSError:
                        pass
            for key, _ in self.selector.select(0.05):
                try:
                    data = key.fileobj.recv(65536)
                except OSError:
                    data = b""
                if not data:
                    self.selector.unregister(key.fileobj)
                    self.ended += 1
            meanwhile()

    def close(self, reset=False):
        for sock in self.socks:
            if reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            sock.close()
        self.selector.close()
        self.socks = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
