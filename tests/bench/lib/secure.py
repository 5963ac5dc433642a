"""What encryption costs: requests over TLS beside the same ones in plain, by the gateway's own processor time."""
import http.client, shutil, ssl, subprocess
from pathlib import Path

from programs import Programs
from table import Failure


def certificate(folder):
    """A certificate of its own with an EC key, and a context that trusts it."""
    if not shutil.which("openssl"):
        raise Failure("openssl is missing: apt-get install openssl")
    pair = folder / "tls.pem", folder / "tls.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                    "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1", "-out", pair[0], "-keyout", pair[1]], check=True, capture_output=True)
    pair[1].chmod(0o600)
    return pair, ssl.create_default_context(cafile=pair[0])


def rate(process, connection, path):
    """A function of a count: requests for a second of the gateway's loop, all on one connection that is kept."""
    def cpu_ns():
        return int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[0])

    def run(count):
        before = cpu_ns()
        for _ in range(count):
            connection.request("GET", path)
            answer = connection.getresponse()
            if answer.status != 200 or not answer.read():
                raise Failure(f"{path} was answered {answer.status}")
        return count / ((cpu_ns() - before) / 1e9)

    return run


def tls(b):
    """a request over TLS on a kept connection beside one in plain: the gateway's processor time for it"""
    with Programs(b.new_folder("tls")) as p:
        p.broker_and_gateway()
        plain, plain_port = p.gateway, p.port
        pair, context = certificate(p.folder)
        p.start_gateway("--tls-cert", pair[0], "--tls-key", pair[1])
        for what, path in (("status of the broker", "/api/info"), ("list of workers", "/api/workers/list")):
            ways = {"TLS": rate(p.gateway, http.client.HTTPSConnection("127.0.0.1", p.port, context=context, timeout=60), path),
                    "plain": rate(plain, http.client.HTTPConnection("127.0.0.1", plain_port, timeout=60), path)}
            b.ratio(f"requests a second of CPU over TLS: {what}", b.contest(ways, b.of(2000, 5)), "TLS", "plain", "/s", 0.667)


PARTS = (tls,)
