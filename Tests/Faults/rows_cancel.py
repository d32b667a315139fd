"""Jobs that are cancelled, and engines that do not mind."""

import threading

import census
from matrix import case, p99, short
from rig import eventually, now, outcomes

NO_JOB = "it is a fault of a job"


def never_visible(v, jobs):
    for job in jobs:
        shown = job.look()
        assert shown["state"] == "cancelled" and not shown.get("result") and not shown.get("artifacts"), shown
        assert not (v.rig.home / "data" / "jobs" / job.id).exists(), "an artifact was kept"


def late(v, after, bound):
    pid = v.warm()
    jobs = v.in_flight(mode="late-result", after=after, artifact="late.txt")
    begin = now()
    for job in jobs:
        assert job.cancel() == "requested"
    for job in jobs:
        job.done("cancelled")
    v.measured(f"a result {after} ms after the cancel: cancelled", now() - begin, bound)
    return pid, jobs


@case("F27", "1 ms", idle=NO_JOB, batch="cancel", quiet=True)
def result_at_once_after_the_cancel(v):
    pid, jobs = late(v, 1, 1)
    assert v.rig.engine(v.chaos.name) == pid
    never_visible(v, jobs)


@case("F27", "1 s", idle=NO_JOB, batch="cancel", quiet=True, plugin={"timeouts": {"cancelGrace": "3s"}})
def result_a_second_after_the_cancel(v):
    pid, jobs = late(v, 1000, 2)
    assert v.rig.engine(v.chaos.name) == pid
    never_visible(v, jobs)


@case("F27", "1 min", idle=NO_JOB, batch="cancel", plugin={"timeouts": {"cancelGrace": "500ms"}})
def result_a_minute_after_the_cancel(v):
    pid, jobs = late(v, 60_000, 1.5)
    # Later than any grace, of a minute at most: the process is gone before it could answer.
    eventually("the process ends", lambda: not census.is_alive(pid))
    never_visible(v, jobs)
    v.expect_log("did not stop job")


@case("F28", idle=NO_JOB, batch="cancel", plugin={"timeouts": {"cancelGrace": "500ms"}})
def ignores_cancel(v):
    pid = v.warm()
    deaf = v.in_flight(count=1, mode="deaf")[0]
    tenants = v.in_flight(count=v.count - 1, mode="hang")
    begin = now()
    assert deaf.cancel() == "requested"
    job = deaf.done("cancelled")
    v.measured("cancelled", now() - begin, 1.5, "grace of 0.5 s + 1 s")
    assert outcomes(job) == ["cancelled"], job
    eventually("the process ends", lambda: not census.is_alive(pid))
    v.measured("killed", now() - begin, 1.5, "grace of 0.5 s + 1 s")
    for tenant in tenants:
        assert outcomes(tenant.done()) == ["lost", "succeeded"], tenant.look()
    v.expect_log(f"did not stop job {deaf.id}")


@case("F29", idle=NO_JOB, batch="cancel", quiet=True)
def at_any_moment(v):
    v.warm()
    running = v.in_flight(mode="hang")
    waiting = [v.submit() for _ in range(v.count)]
    for job in waiting:
        assert job.cancel() == "cancelled" and job.look()["attempts"] == [], job.look()
        assert job.cancel() == "finished"
    for job in running:
        # Twice at once.
        said = []
        both = [threading.Thread(target=lambda j=job: said.append(j.cancel())) for _ in range(2)]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        assert set(said) <= {"requested", "finished"}, said
    for job in running:
        assert outcomes(job.done("cancelled")) == ["cancelled"], job.look()
        assert job.cancel() == "finished" and job.look()["state"] == "cancelled"
    done = v.submit()
    done.done()
    assert done.cancel() == "finished" and done.look()["state"] == "succeeded"


@case("F29", "during the load", idle=NO_JOB, batch="cancel", quiet=True,
      plugin={"arguments": ["--resident", "--fault", "load-lively"], "more": {"features": ["chunks", "model-residency"]}})
def during_the_load(v):
    jobs = [v.submit() for _ in range(v.count)]
    jobs[0].running()
    begin = now()
    for job in jobs:
        assert job.cancel() in ("requested", "cancelled")
    for job in jobs:
        job.done("cancelled")
    v.measured("cancelled while the model loads", now() - begin, 1)
    v.submit().done()
