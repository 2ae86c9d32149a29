import itertools
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from gristmill.core.routes import EndpointLimits, KeyLimits
from gristmill.core.supervision import Census, Counted, ask
from tests.running import free_port
from tests.serving.rig import (
    DIE,
    FEATURES,
    NOT_A_NUMBER,
    RAISE,
    Answer,
    Bundle,
    Rig,
    eventually,
    make_bundle,
    predictions,
    rig,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One quick replica behind `tiny`; one that takes 0.4 s a batch behind `slow`."""
    folder = tmp_path_factory.mktemp("faults")
    quick, slow = make_bundle(folder / "quick"), make_bundle(folder / "slow", seconds=0.4)
    with rig(folder, free_port()) as made:
        made.serve("tiny", ("tiny@1", quick, 100, [made.add_worker(quick)]))
        made.serve("slow", ("slow@1", slow, 100, [made.add_worker(slow)]), limits=EndpointLimits(max_queue=4))
        made.push()
        made.start_gateway()
        yield made


@pytest.fixture
def one(made: Rig) -> Iterator[Rig]:
    """Whole again, whatever the tests before did to it; replicas that a test adds go with it."""
    if made.process is None or made.process.poll() is not None:
        made.start_gateway()
    made.wait_ready()
    own = list(made.workers)
    yield made
    for worker in made.workers[len(own) :]:
        worker.stop()
    made.workers[:] = own


class Callers:
    """Threads that call without pause, each with rows of its own; a wrong row is a failure."""

    def __init__(self, made: Rig, count: int = 8) -> None:
        self.good, self.failures = 0, list[str]()
        self._stop = threading.Event()
        self._numbers = itertools.count()
        self._made = made
        self._threads = [threading.Thread(target=self._call) for _ in range(count)]

    def _call(self) -> None:
        while not self._stop.is_set():
            number = next(self._numbers) % 500
            rows = [[float(number + i), 0.0, 0.0, 0.25] for i in range(1 + number % 3)]
            answer = self._made.infer(rows)
            if answer.status == 200 and predictions(answer) == [row[0] + 0.25 for row in rows]:
                self.good += 1
            else:
                self.failures.append(f"{answer.status} {answer.body[:200]!r}")

    def __enter__(self) -> "Callers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def test_kill_9_under_load_fails_no_request_and_mixes_no_rows(one: Rig) -> None:
    worker = one.workers[0]
    with Callers(one) as callers:
        for _ in range(3):
            before, starts = callers.good, worker.starts
            eventually(lambda before=before: callers.good > before + 50, 30)
            worker.process.kill()
            eventually(lambda starts=starts: worker.starts > starts, 30)
    assert callers.failures == []


def test_a_stopped_worker_keeps_its_requests_until_it_is_replaced(one: Rig) -> None:
    worker = one.workers[0]
    worker.process.send_signal(signal.SIGSTOP)
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(one.infer, [[1.0] * FEATURES]) for _ in range(4)]
        time.sleep(0.3)
        worker.process.kill()
        assert [predictions(future.result()) for future in waiting] == [[4.0]] * 4


def test_a_request_that_kills_two_workers_is_quarantined_and_the_others_are_answered(one: Rig) -> None:
    before = ask(one.control_socket, Census(), Counted).quarantined
    with ThreadPoolExecutor(9) as pool:
        deadly = pool.submit(one.infer, [[DIE, 0.0, 0.0, 0.0]])
        others = [pool.submit(one.infer, [[1.0] * FEATURES]) for _ in range(8)]
        assert all(predictions(other.result()) == [4.0] for other in others)
        answer = deadly.result()
    assert answer.status == 500
    assert "two workers died" in answer.json["error"]
    assert ask(one.control_socket, Census(), Counted).quarantined == before + 1


@pytest.mark.parametrize(("poison", "says"), [(RAISE, "failed on this request"), (NOT_A_NUMBER, "not a finite number")])
def test_a_poisoned_request_fails_alone(one: Rig, poison: float, says: str) -> None:
    starts = one.workers[0].starts
    with ThreadPoolExecutor(16) as pool:
        futures = [pool.submit(one.infer, [[poison if i == 5 else 1.0, 0.0, 0.0, 0.0]]) for i in range(16)]
        answers = [future.result() for future in futures]
    assert [answer.status for answer in answers] == [500 if i == 5 else 200 for i in range(16)]
    assert says in answers[5].json["error"]
    assert one.workers[0].starts == starts


def in_flight(one: Rig) -> int:
    return sum(ask(one.control_socket, Census(), Counted).in_flight.values())


def timed(one: Rig, endpoint: str = "slow", **headers: str) -> tuple[Answer, float]:
    started = time.monotonic()
    answer = one.infer([[1.0] * FEATURES], endpoint, **headers)
    return answer, time.monotonic() - started


def test_a_deadline_is_answered_in_time_whether_waiting_or_computing(one: Rig) -> None:
    """The quickest of three each: on a busy machine any answer may lie for a while before this process reads it."""
    worker = one.workers[0]
    worker.process.send_signal(signal.SIGSTOP)
    answers = [timed(one, "tiny", x_request_timeout_ms="100") for _ in range(6)]
    worker.process.kill()
    assert [answer.status for answer, _ in answers] == [504] * 6
    took_s = [took_s for _, took_s in answers]
    assert min(took_s[:3]) < 0.15, "of those that are computed"
    assert min(took_s[3:]) < 0.15, "of those that wait"


def test_a_full_queue_sheds_at_once_and_says_when_to_come_back(one: Rig) -> None:
    with ThreadPoolExecutor(24) as pool:
        outcomes = [future.result() for future in [pool.submit(timed, one) for _ in range(24)]]
    shed = [(answer, took_s) for answer, took_s in outcomes if answer.status == 503]
    assert {answer.status for answer, _ in outcomes} == {200, 503}
    assert len(shed) >= 10
    assert all(int(answer.headers["retry-after"]) >= 1 for answer, _ in shed)


def test_a_keys_limits_are_kept(one: Rig) -> None:
    few = one.add_key(limits=KeyLimits(requests_per_minute=3))
    single = one.add_key(limits=KeyLimits(max_parallel=1))
    one.push()
    answers = [one.infer([[1.0] * FEATURES], key=few) for _ in range(5)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
    assert int(answers[-1].headers["retry-after"]) >= 1
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(one.infer, [[1.0] * FEATURES], "slow", key=single) for _ in range(3)]
        assert sorted(future.result().status for future in futures) == [200, 429, 429]


def test_a_revoked_key_is_refused_after_the_push(one: Rig) -> None:
    token = one.add_key()
    one.push()
    assert one.get("/v2", key=token).status == 200
    one.keys.pop()
    one.push()
    assert one.get("/v2", key=token).status == 403


def test_an_endpoint_moves_to_another_version_under_load_without_a_failure(one: Rig) -> None:
    bundle: Bundle = make_bundle(one.folder / "next")
    newer = one.add_worker(bundle, "tiny@2")
    eventually(newer.ready, 20)
    old = one.endpoints["t", "tiny"]
    with Callers(one) as callers:
        for _ in range(10):
            one.serve("tiny", ("tiny@2", bundle, 100, [newer]))
            one.push()
            one.endpoints["t", "tiny"] = old
            one.push()
    assert callers.failures == []
    assert callers.good > 20


def test_every_answered_request_is_in_the_journal_once_after_kill_9_of_the_gateway(one: Rig) -> None:
    answered: list[str] = []

    def call() -> None:
        for _ in range(200):
            answer = one.infer([[1.0] * FEATURES])
            if answer.status == 200:
                answered.append(answer.headers["x-request-id"])

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(answered) > 200, 30)
    assert one.process is not None
    one.process.kill()
    one.process.wait()
    one.start_gateway()
    for thread in threads:
        thread.join()
    ids = [record.id for record in one.records()]
    assert len(set(ids)) == len(ids)
    assert set(answered) <= set(ids)


def test_sigterm_answers_what_is_under_way_and_then_ends(one: Rig) -> None:
    with ThreadPoolExecutor(2) as pool:
        future = pool.submit(timed, one)
        eventually(lambda: in_flight(one) == 1, 30)
        assert one.process is not None
        one.process.terminate()
        assert future.result()[0].status == 200
        assert one.process.wait(30) == 0


def test_a_client_that_leaves_frees_its_place_in_the_queue(one: Rig) -> None:
    worker = one.workers[1]
    worker.process.send_signal(signal.SIGSTOP)  # it answers none of the two batches that it is sent
    with ThreadPoolExecutor(2) as pool:
        staying = []
        for count in (1, 2):
            staying.append(pool.submit(timed, one))
            eventually(lambda count=count: in_flight(one) == count, 30)
        leaving = [one.connection() for _ in range(4)]
        body = '{"inputs":[{"name":"features","datatype":"FP32","shape":[1,4],"data":[1,1,1,1]}]}'
        for connection in leaving:
            connection.request("POST", "/v2/models/slow/infer", body, {"authorization": f"Bearer {one.key}"})
        eventually(lambda: in_flight(one) == 6, 30)
        for connection in leaving:
            connection.close()
        eventually(lambda: in_flight(one) == 2, 30)
        worker.process.kill()
        assert [future.result()[0].status for future in staying] == [200, 200]


def test_a_worker_that_passes_its_memory_ends(one: Rig, tmp_path_factory: pytest.TempPathFactory) -> None:
    bundle = make_bundle(tmp_path_factory.mktemp("greedy") / "bundle")
    worker = one.add_worker(bundle, memory_bytes=10 * 2**20)
    eventually(lambda: worker.starts > 1, 30)


def test_a_corrupt_bundle_is_refused_with_the_files_name(one: Rig, tmp_path_factory: pytest.TempPathFactory) -> None:
    bundle = make_bundle(tmp_path_factory.mktemp("corrupt") / "bundle")
    golden = bundle.folder / "golden.npz"
    data = bytearray(golden.read_bytes())
    data[len(data) // 2] ^= 1
    golden.write_bytes(data)
    worker = one.add_worker(bundle)
    pong = eventually(lambda: (said := worker.ping()) and said.state == "failed" and said, 30)
    assert "golden.npz is corrupt" in pong.error
    assert (worker.folder / "failure.json").exists()
