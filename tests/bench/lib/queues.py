"""Against queues and web servers: life cycles, creates, reads, heartbeats; then latencies."""
import contextlib, json, statistics

from peers import Beanstalkd, Nginx, Redis
from programs import CREATE, Programs, http_load, newest_ids, operations, tool

CLIENTS = 64
# Limits of the medians at 16 connections, ms; of the 99th percentiles three times as much.
LIMITS = {"register": 1, "heartbeat": 1, "status": 1, "create": 5, "get-job": 2, "submit-result": 2}
TAIL = 3


def cycle(b):
    """Durable life cycles over native ZeroMQ and HTTP; Redis, beanstalkd"""
    with contextlib.ExitStack() as stack:
        there, reasons = b.peers(stack, Redis, Beanstalkd)
        p = stack.enter_context(Programs(b.new_folder("cycle"))).broker_and_gateway()
        ports = {"native": p.native_port, "http": p.port, **{name: peer.port for name, peer in there.items()}}
        kinds = {"beanstalkd": "beanstalk"}

        def lives(name):
            return lambda count: tool("bench-cycle", kinds.get(name, name), ports[name], count, CLIENTS, CLIENTS)["cycles_per_second"]

        contest = b.contest({name: lives(name) for name in ports}, b.of(4000, CLIENTS), reasons)
        for ours, peer, least in (("native", "redis", 2), ("native", "beanstalkd", 12), ("http", "redis", 0.8)):
            b.ratio(f"durable life cycles, {ours} to {peer}, {CLIENTS} + {CLIENTS} clients", contest, ours, peer, "/s", least)


def http(b):
    """Creates, status reads and heartbeats over HTTP; nginx with a static file of the same JSON"""
    with contextlib.ExitStack() as stack:
        p = stack.enter_context(Programs(b.new_folder("http"))).broker_and_gateway()
        there, reasons = b.peers(stack, Nginx)
        p.call("POST", "/api/workers/register", {"workerId": "bench", "hostname": "bench"})
        p.load(CLIENTS, 500, "POST", "/api/jobs/create", CREATE)
        ids = newest_ids(p)
        rate = lambda port, *args: lambda count: http_load(port, CLIENTS, count, *args)["per_second"]
        contestants = {"create": rate(p.port, "POST", "/api/jobs/create", CREATE),
                       "status": rate(p.port, "GET", "/api/jobs/status?jobId=@", None, ids),
                       "heartbeat": rate(p.port, "POST", "/api/workers/heartbeat", '{"workerId": "bench"}')}
        if there:
            status = p.call("GET", f"/api/jobs/status?jobId={ids[0]}")
            (there["nginx"].folder / "www/status.json").write_text(json.dumps(status, separators=(",", ":")))
            contestants["nginx"] = rate(there["nginx"].port, "GET", "/status.json")
        contest = b.contest(contestants, b.of(4000, CLIENTS), reasons)
        for name, what, least in (("create", "durable create", 0.25), ("status", "status read", 0.5), ("heartbeat", "heartbeat", 0.5)):
            b.ratio(f"{what} over HTTP, {CLIENTS} connections, to nginx", contest, name, "nginx", "/s", least)


def latency(b):
    """Each operation at 16 connections: medians and 99th percentiles"""
    connections = 16
    with Programs(b.new_folder("latency")) as p:
        p.broker_and_gateway()
        operations(p, connections, b.of(1000, connections))
        runs = {name: [] for name in LIMITS}
        for _ in range(b.rounds):
            for name, times in operations(p, connections, b.of(4000, connections)).items():
                runs[name].append(times)
        for name, limit in LIMITS.items():
            for which, most in (("p50", limit), ("p99", TAIL * limit)):
                values = [times[f"{which}_us"] / 1000 for times in runs[name]]
                b.table.at_most(f"{name} over HTTP, {connections} connections, {which}", statistics.median(values), "ms", most, runs=[values])


def handoff(b):
    """Idle dispatch: a create is acknowledged -> the job is in a waiting worker's hands"""
    count, pause_ms = b.of(1000, 20), 3
    with Programs(b.new_folder("handoff")) as p:
        p.broker_and_gateway()
        ports = {"native": p.native_port, "http": p.port}
        rounds = {kind: [] for kind in ports}
        for _ in range(b.rounds):
            for kind, port in ports.items():
                rounds[kind].append(tool("bench-cycle", "dispatch", kind, port, count, pause_ms, 1))
        for kind, which, limit in (("native", "p50", 1), ("native", "p99", 3), ("http", "p50", 2)):
            values = [r[f"handed_{which}_us"] / 1000 for r in rounds[kind]]
            b.table.at_most(f"create acknowledged -> job in hand, {kind}, {which}", statistics.median(values), "ms", limit, runs=[values])
        for kind in ports:
            for which in ("p50", "p99"):
                values = [r[f"whole_{which}_us"] / 1000 for r in rounds[kind]]
                b.table.info(f"    create sent -> job in hand, {kind}, {which}, for information", statistics.median(values), "ms", runs=[values])


PARTS = (cycle, http, latency, handoff)
