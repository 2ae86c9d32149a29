"""The response cache: off by default, per endpoint, never across versions or tenants, bounded, in the books."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from gristmill.core.routes import EndpointLimits
from gristmill.serving.gateway.cache import AnswerCache, fingerprint
from gristmill.serving.gateway.work import ExplainJob, OutputRows, PayloadJob, TensorJob
from tests.running import free_port
from tests.serving.rig import Answer, Bundle, Rig, Worker, eventually, make_bundle, predictions, rig
from tests.serving.rpc import Caller, raw_request

ROWS = [[1.0, 2.0, 3.0, 4.0], [0.5, 0.0, 0.0, 0.0]]
KEEPS = EndpointLimits(cache_bytes=64_000)


@pytest.fixture(scope="module")
def keeping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Endpoints `tiny` of the tenants t and u, and `small` whose cache holds few answers; all but `plain` keep."""
    folder = tmp_path_factory.mktemp("rig")
    bundle = make_bundle(folder / "bundle")
    with rig(folder, free_port(), grpc_port=free_port()) as made:
        served = ("tiny@1", bundle, 100, [made.add_worker(bundle)])
        made.serve("tiny", served, limits=KEEPS)
        made.serve("tiny", served, tenant="u", limits=KEEPS)
        made.serve("small", served, limits=EndpointLimits(cache_bytes=1_200))
        made.serve("plain", served)
        made.push()
        made.start_gateway()
        made.wait_ready()
        eventually(lambda: made.get("/v2/models/tiny/ready").status == 200, 30)
        yield made


def said(answer: Answer) -> str | None:
    assert answer.status == 200, answer
    return answer.headers.get("x-gristmill-cache")


def test_the_same_input_is_computed_once_and_recorded_twice(keeping: Rig) -> None:
    first, second = keeping.infer(ROWS), keeping.infer(ROWS)
    assert (said(first), said(second)) == ("miss", "hit")
    assert predictions(first) == predictions(second) == [10.0, 0.5]
    by_id = {record.id: record for record in keeping.records()}
    computed, kept = (by_id[answer.headers["x-request-id"]] for answer in (first, second))
    assert (computed.cached, computed.replica) == (False, "r0")
    assert (kept.cached, kept.replica, kept.compute_us, kept.items) == (True, "", 0, 2)
    assert (kept.model, kept.status, kept.bytes_out) == ("tiny@1", 200, len(second.body))
    metrics = keeping.get("/metrics").body.decode()
    assert 'cache_hits_total{tenant="t",endpoint="tiny",version="tiny@1"} 1' in metrics


def test_an_answer_is_kept_as_values_and_told_in_whatever_form_is_asked_for(keeping: Rig) -> None:
    rows = [[7.0, 0.0, 0.0, 0.0]]
    assert said(keeping.infer(rows)) == "miss"
    with Caller(keeping.grpc_port, keeping.key) as caller:
        told = caller.infer(raw_request(rows))
    assert (told.predictions(), told.metadata["x-gristmill-cache"]) == ([7.0], "hit")


def test_an_endpoint_without_a_cache_says_nothing_of_one(keeping: Rig) -> None:
    assert [said(keeping.infer(ROWS, "plain")) for _ in range(2)] == [None, None]


def test_another_tenant_never_gets_what_was_computed_for_this_one(keeping: Rig) -> None:
    other = keeping.add_key("u")
    keeping.push()
    rows = [[8.0, 0.0, 0.0, 0.0]]
    assert [said(keeping.infer(rows)) for _ in range(2)] == ["miss", "hit"]
    assert [said(keeping.infer(rows, key=other)) for _ in range(2)] == ["miss", "hit"]


def test_what_was_refused_is_not_kept(keeping: Rig) -> None:
    assert [keeping.infer([[667.0, 0, 0, 0]]).status for _ in range(2)] == [500, 500]
    assert said(keeping.infer([[1.5, 0, 0, 0]])) == "miss"


def test_the_least_recently_used_answer_goes_when_the_memory_is_full(keeping: Rig) -> None:
    """1,200 bytes hold two answers of one row."""
    sent = [[[float(number), 0, 0, 0]] for number in range(3)]
    asked = [sent[0], sent[1], sent[0], sent[2], sent[0], sent[1]]
    assert [said(keeping.infer(rows, "small")) for rows in asked] == ["miss", "miss", "hit", "miss", "hit", "miss"]


def test_an_explanation_is_kept_by_its_parameters_too(keeping: Rig) -> None:
    def explain(**parameters: object) -> str | None:
        body = {
            "inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 4], "data": ROWS[0]}],
            "parameters": {"method": "occlusion", **parameters},
        }
        return said(keeping.request("POST", "/v2/models/tiny/explain", body))

    assert [explain(), explain(), explain(render="png"), explain(render="png")] == ["miss", "hit", "miss", "hit"]


def test_a_move_to_another_version_never_answers_for_the_old_one(
    keeping: Rig, tmp_path_factory: pytest.TempPathFactory
) -> None:
    doubled = make_bundle(tmp_path_factory.mktemp("doubled") / "bundle", scale=2.0)
    old = keeping.endpoints["t", "tiny"]
    rows = [[9.0, 0.0, 0.0, 0.0]]
    assert [said(keeping.infer(rows)) for _ in range(2)] == ["miss", "hit"]
    _move(keeping, doubled, keeping.add_worker(doubled, "tiny@2"))
    answer = keeping.infer(rows)
    assert (said(answer), predictions(answer)) == ("miss", [18.0])
    keeping.endpoints["t", "tiny"] = old
    keeping.push()
    answer = keeping.infer(rows)
    assert (said(answer), predictions(answer)) == ("hit", [9.0])  # what it answered is still true of the old version


def _move(keeping: Rig, bundle: Bundle, worker: Worker) -> None:
    eventually(worker.ready, 20)
    keeping.serve("tiny", ("tiny@2", bundle, 100, [worker]), limits=KEEPS)
    keeping.push()
    eventually(lambda: keeping.get("/v2/models/tiny/ready").status == 200, 30)


JOBS = some.builds(
    lambda parts, shapes: TensorJob(tuple(parts), tuple(shapes)),
    some.lists(some.binary(max_size=4), min_size=1, max_size=3),
    some.lists(some.tuples(some.integers(0, 2)), min_size=1, max_size=3),
) | some.builds(PayloadJob, some.binary(max_size=4), some.none() | some.sampled_from(["image/png", "text/plain"]))
ANY_JOB = JOBS | some.builds(ExplainJob, JOBS, some.dictionaries(some.sampled_from("ab"), some.integers(0, 1)))


@given(ANY_JOB, ANY_JOB)
def test_two_fingerprints_are_equal_only_where_the_inputs_are(one: object, other: object) -> None:
    same = type(one) is type(other) and one == other
    assert (fingerprint(one) == fingerprint(other)) is same  # type: ignore[arg-type]


@given(some.lists(some.tuples(some.integers(0, 9), some.integers(0, 400)), max_size=60), some.integers(0, 6_000))
def test_whatever_is_kept_stays_within_its_bytes_and_is_what_was_put(
    puts: list[tuple[int, int]], most_bytes: int
) -> None:
    cache = AnswerCache(most_bytes)
    first: dict[int, int] = {}
    for number, length in puts:
        key = ("sha256:0", bytes([number]))
        if cache.get(key) is None:
            first[number] = length
        cache.put(key, (OutputRows("y", "FP32", np.full(length, number, np.float32)),), length)
        assert 0 <= cache.bytes <= most_bytes
        kept = cache.get(key)
        if kept is not None:
            assert kept.rows == first[number]
            assert not isinstance(kept.result, bytes)
            assert kept.result[0].values.tolist() == [number] * first[number]
    cache.resize(0)
    assert (cache.bytes, len(cache)) == (0, 0)
