"""A browser's page, as far as the gateway sees one: a cookie that it keeps, the key, and what the browser says of the page."""

from client import Client


def cookie_of(answer):
    """Name, value and attributes of the cookie that an answer sets; None: it sets none."""
    text = answer.headers["Set-Cookie"]
    if text is None:
        return None
    pair, *attributes = text.split("; ")
    return (*pair.split("=", 1), set(attributes))


class PageClient(Client):
    """Keeps its cookie, and says with every request what a page of the gateway's own would; more headers say it differently."""

    def __init__(self, cluster, tls=None):
        super().__init__(cluster.host.address, cluster.port, tls=tls)
        self.origin, self.cookie, self.key = cluster.server, None, None
        cluster.on_close(self)

    def request(self, method, path, body=None, headers=None):
        said = {"Origin": self.origin} if method != "GET" else {}
        if self.cookie:
            said["Cookie"] = self.cookie
        if self.key and method != "GET":
            said["X-Gleaner-Key"] = self.key
        said.update(headers or {})
        answer = super().request(method, path, body, {k: v for k, v in said.items() if v is not None})
        set_to = cookie_of(answer)
        if set_to:
            self.cookie = f"{set_to[0]}={set_to[1]}" if set_to[1] else None
        return answer

    def login(self, token, **headers):
        answer = self.request("POST", "/api/session", {"token": token}, headers)
        if answer.status == 200:
            self.key = answer["key"]
        return answer
