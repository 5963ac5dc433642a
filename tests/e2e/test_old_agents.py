"""Polling agents that know only the documented API: with a name, without one, several on one address."""

from cluster import wait_until
from old_agent import OldAgent


def run_agents(cluster, tmp_path, names, **options):
    agents = [OldAgent(cluster.port, name, tmp_path / name, **options) for name in names]
    for agent in agents:
        cluster.on_close(agent)
        agent.start()
    return agents


def register(api, name):
    assert api.post("/api/workers/register", {"workerId": name, "hostname": "h"}).status == 200


def poll(api):
    return api.get("/api/jobs/get-job")


def result(api, job, worker, **fields):
    return api.post("/api/jobs/submit-result", {"jobId": job, "workerId": worker, "exitCode": 0, **fields})


def test_an_agent_that_says_its_name(cluster, tmp_path):
    (agent,) = run_agents(cluster, tmp_path, ["named"], says_id=True)
    status = cluster.api.wait_job(cluster.api.submit("cat a.txt\necho e >&2\nexit 4"))
    assert (status["workerId"], status["exitCode"], status["stdout"], status["stderr"]) == ("named", 4, "hello\n", "e\n")
    assert not agent.errors


def test_one_anonymous_agent(cluster, tmp_path):
    (agent,) = run_agents(cluster, tmp_path, ["alone"])
    jobs = [cluster.api.submit(f"echo {n}") for n in range(5)]
    for n, job in enumerate(jobs):
        status = cluster.api.wait_job(job)
        assert (status["status"], status["stdout"], status["workerId"]) == ("completed", f"{n}\n", "alone")
    assert agent.taken == jobs and not agent.errors


def test_three_anonymous_agents_on_one_address(cluster, tmp_path):
    """Each gets the results of its own jobs accepted, whoever else polls from there."""
    agents = run_agents(cluster, tmp_path, ["one", "two", "three"])
    jobs = [cluster.api.submit(f"echo {n}; sleep 0.1") for n in range(30)]
    ended = [cluster.api.wait_job(job, 60) for job in jobs]
    assert [status["stdout"] for status in ended] == [f"{n}\n" for n in range(30)]
    assert all(status["status"] == "completed" and status["attempt"] == 1 for status in ended)
    wait_until(lambda: sum(len(agent.answers) for agent in agents) == 30)
    for agent in agents:
        assert not agent.errors and all(answer.status == 200 for answer in agent.answers)
        assert agent.taken == [answer["jobId"] for answer in agent.answers]
        assert {status["workerId"] for status in ended if status["jobId"] in agent.taken} == {agent.worker_id}
        assert agent.taken, f"{agent.worker_id} got nothing"


def test_the_first_call_with_a_name_binds_the_job(cluster):
    api = cluster.api
    for name in ("a", "b"):
        register(api, name)
    job = api.create()
    assert poll(api)["job"]["jobId"] == job
    assert result(api, job, "b", stdout="from b").status == 200
    late = result(api, job, "a", stdout="from a")
    assert late.status == 403
    assert api.status(job)["stdout"] == "from b" and api.status(job)["workerId"] == "b"


def test_a_stranger_does_not_bind_a_groups_job(cluster):
    """A worker that was busy or not there when the job was handed out is no candidate."""
    api = cluster.api
    for name in ("a", "b"):
        register(api, name)
    job = api.create()
    poll(api)
    register(api, "later")
    assert result(api, job, "later").status == 403
    assert result(api, job, "nobody").status == 403
    assert api.status(job)["status"] == "running"
    assert result(api, job, "a").status == 200


def test_no_candidate_gets_no_job(cluster):
    job = cluster.api.create()
    answer = poll(cluster.api)
    assert answer.status == 202 and answer["job"] is None
    assert cluster.api.status(job)["status"] == "pending"


def test_a_lone_agent_that_is_busy_gets_no_second_job(cluster):
    api = cluster.api
    register(api, "a")
    first, second = api.create(), api.create()
    assert poll(api)["job"]["jobId"] == first
    assert poll(api).status == 202
    assert result(api, first, "a").status == 200
    assert poll(api)["job"]["jobId"] == second


def test_heartbeats_renew_what_an_old_agent_holds(clusters):
    cluster = clusters(broker_args=["--lease", "1s", "--offline", "3s"])
    api = cluster.api
    register(api, "a")
    job = api.create()
    assert poll(api)["job"]["jobId"] == job
    begun = api.status(job)["startedAt"]
    wait_until(lambda: api.post("/api/workers/heartbeat", {"workerId": "a"})["timestamp"] > begun + 2500, 10)
    status = api.status(job)
    assert status["status"] == "running" and status["attempt"] == 1
    assert result(api, job, "a").status == 200


def test_a_groups_lease_ends_when_all_its_candidates_are_offline(clusters):
    cluster = clusters(broker_args=["--lease", "1s", "--offline", "1s"])
    api = cluster.api
    for name in ("a", "b"):
        register(api, name)
    job = api.create()
    poll(api)
    wait_until(lambda: api.status(job)["status"] == "pending", 10, "the job's return")
    assert api.worker("a")["status"] == api.worker("b")["status"] == "offline"


def test_megabytes_of_inline_output_that_is_not_all_text(cluster):
    api = cluster.api
    register(api, "a")
    job = api.create()
    poll(api)
    stdout = "".join(f"line {n}\n" for n in range(400_000))
    body = ('{"jobId":"%s","workerId":"a","exitCode":0,"stderr":"a\\u0000b\\ud800c","stdout":"%s"}'
            % (job, stdout.replace("\n", "\\n"))).encode()
    assert len(body) > 5_000_000
    answer = api.request("POST", "/api/jobs/submit-result", body, {"Content-Type": "application/json"})
    assert answer.status == 200, answer
    assert api.get(f"/api/jobs/output?jobId={job}&stream=stdout").body == stdout.encode()
    status = api.status(job)
    assert status["status"] == "completed" and status["outputCut"] is True and stdout.startswith(status["stdout"])
    assert status["stderr"][0] == "a" and status["stderr"][-1] == "c"
