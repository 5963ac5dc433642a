#!/usr/bin/python3
"""Proves that the simulator can fail: breaks the core in one place after the other, and asks it to find out.

Each mutant is one source file of the core with a text replaced, linked before the library so that it takes the true one's
place. A mutant whose text no longer stands in its file is a failure too: then the list must be brought up to date.
Usage: mutants.py BUILD_FOLDER [NAME ...]    Prints a line for each; ends with 1 when one survives.
"""
import concurrent.futures
import os
import shlex
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SEEDS = 300

# name, file below broker/, [(text, instead), ...]
MUTANTS = [
    ("no token check", "core_lease.c", [
        ("if (token.ptr && !slice_eq_str (token, lease->token))", "if (0)"),
        ("if (attempt != INT_ABSENT && attempt != job->attempt)", "if (0)")]),
    ("a lease never expires", "core.c", [
        ("static void lease_due (core_t *self, lease_t *lease)\n{", "static void lease_due (core_t *self, lease_t *lease)\n{\n    if (self) return;")]),
    ("an attempt is not stored", "core_lease.c", [
        ("        core_job_record (self, job, &core_effect (self, EFFECT_JOB_UPDATE)->job);\n        core_effect (self, EFFECT_JOB_CHANGED)->seq = job->seq;\n    }\n    return lease;", "    }\n    return lease;")]),
    ("attempts without end", "core_attempt.c", [
        ("return job->attempt < job->max_attempts && !nowhere;", "return !nowhere;")]),
    ("an attempt's end is forgotten", "core_attempt.c", [
        ("    core_attempt_record (self, job, end);\n    int64_t pause", "    int64_t pause")]),
    ("a late result leaves no trace", "core_attempt.c", [
        ("row->late_ms = self->wall_ms;", "row->late_ms = 0;")]),
    ("a late result is acknowledged", "core_attempt.c", [
        ("if (its && past->accepted) {", "if (its || past) {")]),
    ("cancel does nothing", "core_job.c", [
        ('core_job_fail (self, job, "cancelled", SLICE ("The job was cancelled."));', "(void)job;")]),
    ("priority is ignored", "core_queue.c", [
        ("job->options ? -job->options->priority : 0", "0")]),
    ("labels are ignored", "core_queue.c", [
        ("if (!slice_eq (has, value))", "if (0)")]),
    ("no delay", "core_queue.c", [
        ("core_timer_set (self, &job->delay->timer, TIMER_JOB, due_ms);", "core_timer_set (self, &job->delay->timer, TIMER_JOB, due_ms - due_ms + self->now_ms);")]),
    ("what is kept is given back", "core_worker.c", [
        ("if (lease->result || keeps (lease, keep))", "if (lease->result)")]),
    ("what is not kept stays", "core_worker.c", [
        ("if (lease->result || keeps (lease, keep))", "if (1)")]),
    ("who is gone keeps its leases", "core_worker.c", [
        ('give_back_leases (self, worker, &none, "closed its connection", false);', "(void)none;")]),
    ("a lost answer takes the job back", "core_lease.c", [
        ("return !lease->claimed && lease->handed <= 1;", "return !lease->claimed;")]),
    ("a key makes two jobs", "core_job.c", [
        ("if (hash.ptr && event->stored) {", "if (0) {")]),
    ("a repeated result is refused", "core_result.c", [
        ("else if (stored->token.ptr && slice_eq (stored->token, claim->token) &&", "else if (0 &&")]),
    ("output is thrown away", "core_result.c", [
        ("discard_streams (self, job, streams_inline (streams->data));", "discard_streams (self, job, STREAMS_ALL);")]),
    ("a journal is taken for what was printed", "core_result.c", [
        ("refuse_mismatch (self, result->request, event->faulty_stream,", "refuse_mismatch (self, result->request, STREAM_STDOUT,")]),
    ("a restart forgets that there are files", "core_rebuild.c", [
        ("lease->appended = STREAMS_ALL;", "lease->appended = STREAMS_PRINTED;")]),
    ("a restart loses leases", "core_rebuild.c", [
        ("if (record->state == JOB_RUNNING)\n        load_lease", "if (0)\n        load_lease")]),
    ("two leases in one slot", "core_dispatch.c", [
        ("lease_t *lease = lease_of_slot (worker, slot);", "lease_t *lease = lease_of_slot (worker, slot + SLOTS_MAX);")]),
    ("a draining worker gets jobs", "core_dispatch.c", [
        ("job_t *job = worker->draining ? NULL : core_queue_take", "job_t *job = core_queue_take")]),
    ("a draining worker's parked poll gets a job", "core_dispatch.c", [
        ("if (!parked->worker->draining && core_queue_fits", "if (core_queue_fits")]),
    ("a draining agent without a name gets jobs", "core_group.c", [
        ("idle > place->groups.count && !draining;", "idle > place->groups.count;")]),
    ("a restart forgets who drains", "core_worker.c", [
        ("worker->draining = record->draining;", "")]),
    ("any agent writes", "core_lease.c", [
        ("else if (lease->worker != worker)", "else if (0)")]),
]


def commands(build, target):
    lines = subprocess.run(["ninja", "-C", build, "-t", "commands", target], capture_output=True, text=True, check=True)
    return lines.stdout.strip().split("\n")


def catch(build, mutant, folder):
    name, file, changes = mutant
    path = os.path.join(TOP, "broker", file)
    with open(path, encoding="utf-8") as handle:
        text = handle.read()
    for old, new in changes:
        if old not in text:
            return name, False, f"'{old[:60]}' does not stand in {file} any more"
        text = text.replace(old, new, 1)
    number = MUTANTS.index(mutant)
    source = os.path.join(folder, f"mutant-{number}.c")
    with open(source, "w", encoding="utf-8") as handle:
        handle.write(text)
    words = shlex.split(commands(build, f"broker/CMakeFiles/gleaner_core.dir/{file}.o")[-1])
    kept = [word for i, word in enumerate(words)
            if word not in ("-MD", "-MT", "-MF", "-o", "-c") and words[i - 1] not in ("-MT", "-MF", "-o", "-c")]
    compiled = kept + ["-w", "-o", source + ".o", "-c", source]
    done = subprocess.run(compiled, cwd=build, capture_output=True, text=True)
    if done.returncode:
        return name, False, "it does not compile: " + done.stderr.strip()[:300]
    link = commands(build, "bin/gleaner-sim")[-1]
    program = os.path.join(folder, f"sim-{number}")
    link = link.replace("-o bin/gleaner-sim", f"-o {program} {source}.o")
    done = subprocess.run(link, cwd=build, shell=True, capture_output=True, text=True)
    if done.returncode:
        return name, False, "it does not link: " + done.stderr.strip()[:300]
    try:
        ran = subprocess.run([program, "--seeds", str(SEEDS)], capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired:
        return name, False, "it ran without end"
    return name, ran.returncode == 1 and "failed after" in ran.stdout, ran.stdout.strip().split("\n")[0]


def main():
    build = os.path.abspath(sys.argv[1])
    wanted = [m for m in MUTANTS if len(sys.argv) < 3 or m[0] in sys.argv[2:]]
    survivors = 0
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, caught, said in pool.map(lambda m: catch(build, m, folder), wanted):
            survivors += not caught
            print(f"{'caught' if caught else 'SURVIVED'}: {name}: {said}", flush=True)
    print(f"{len(wanted) - survivors} of {len(wanted)} mutants caught")
    return 1 if survivors or not wanted else 0


sys.exit(main())
