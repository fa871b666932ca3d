"""Calls in other processes see the values of their submitter, and no others."""

from __future__ import annotations

import asyncio
import inspect
import multiprocessing
import pickle
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

import ctxvars
from ctxvars import ContextProcess, ContextProcessPoolExecutor, ContextVar, carry, portable
from tests.portable import jobs
from tests.portable.jobs import START_METHODS, cart, private, tenant

pytestmark = pytest.mark.filterwarnings(
    # Other tests leave threads behind, which a fork does not copy.
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)
Pool = Callable[..., ContextProcessPoolExecutor]


@pytest.fixture
def pool_of() -> Iterator[Pool]:
    pools = []

    def make(method: str, **options: Any) -> ContextProcessPoolExecutor:
        context = multiprocessing.get_context(method)
        pools.append(ContextProcessPoolExecutor(1, context, **options))
        return pools[-1]

    yield make
    for pool in pools:
        pool.shutdown()


@pytest.mark.parametrize("method", START_METHODS)
def test_jobs_see_the_values_of_their_submitter_and_of_no_earlier_job(
    method: str, pool_of: Pool
) -> None:
    with tenant.scope("acme"), private.scope("of the parent"):
        pool = pool_of(method)
        # The worker is forked here.
        assert pool.submit(jobs.see_and_set, "left").result() == ("acme", None, None)
    with tenant.scope("globex"), cart.scope(["tea"]):
        assert pool.submit(jobs.see_and_set, "left").result() == ("globex", ["tea"], None)
    assert pool.submit(jobs.see_and_set, "left").result() == (None, None, None)
    assert pool.submit(jobs.seen).result() == (None, None, None)


def test_a_plain_pool_shows_the_values_that_a_fork_inherits() -> None:
    # The reason for the class: if this fails, the standard library has changed.
    with (
        tenant.scope("acme"),
        ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool,
    ):
        pool.submit(jobs.seen).result()
        with tenant.scope("globex"):
            assert pool.submit(jobs.seen).result()[0] == "acme"


@pytest.mark.parametrize("method", START_METHODS)
def test_jobs_see_what_the_initializer_has_set(method: str, pool_of: Pool) -> None:
    pool = pool_of(method, initializer=jobs.set_private, initargs=("of the initializer",))
    for _ in range(2):
        found = pool.submit(jobs.see_and_set, "left").result()
        assert found == (None, None, "of the initializer")


@pytest.mark.parametrize("chunksize", [1, 2])
def test_each_item_of_map_has_the_values_of_the_call(chunksize: int, pool_of: Pool) -> None:
    pool = pool_of("fork")
    with tenant.scope("globex"):
        results = pool.map(jobs.seen_with, [1, 2, 3], chunksize=chunksize)
    with tenant.scope("later"):
        assert list(results) == [(1, "globex"), (2, "globex"), (3, "globex")]


def test_mutable_values_are_not_shared_between_jobs(pool_of: Pool) -> None:
    pool = pool_of("fork")
    with cart.scope([]):
        for _ in range(2):
            assert pool.submit(jobs.add_to_cart, "tea").result() == 1
        cart.get().append("coffee")
        assert pool.submit(jobs.add_to_cart, "tea").result() == 2


def test_equal_values_of_another_type_are_sent_as_they_are(pool_of: Pool) -> None:
    pool = pool_of("fork")
    for value in (1, True, 1.0, True):
        with cart.scope(value):
            assert repr(pool.submit(jobs.seen).result()[1]) == repr(value)


@pytest.mark.parametrize("method", START_METHODS)
def test_changes_come_back_and_are_merged(method: str, pool_of: Pool) -> None:
    pool = pool_of(method, merge_back=True)
    with tenant.scope("acme"), cart.scope(["tea"]):
        future = pool.submit(jobs.add_to_cart, "milk")
        assert future.result() == 2
        assert isinstance(future, ctxvars.ContextFuture)
        changes = future.changes()
        assert [(it.key, it.old, it.new) for it in changes] == [(cart, ["tea"], ["tea", "milk"])]
        tenant.set("globex")  # what has changed here meanwhile stays
        changes.apply()
        assert (tenant.get(), cart.get()) == ("globex", ["tea", "milk"])
        assert private.get(None) is None


def test_conflicting_changes_are_a_merge_conflict(pool_of: Pool) -> None:
    pool = pool_of("fork", merge_back=True)
    with cart.scope(["tea"]):
        future: Any = pool.submit(jobs.add_to_cart, "milk")
        cart.set(["coffee"])
        with pytest.raises(ctxvars.MergeConflict):
            future.changes().apply()
        future.changes().apply(resolve=lambda variable, base, ours, theirs: ours + theirs[1:])
        assert cart.get() == ["coffee", "milk"]


def test_a_deleted_value_comes_back_as_deleted(pool_of: Pool) -> None:
    pool = pool_of("fork", merge_back=True)
    with tenant.scope("acme"):
        future: Any = pool.submit(jobs.take_tenant_away)
        future.changes().apply()
        assert not tenant.is_set()


def test_changes_of_a_call_that_raises_are_lost(pool_of: Pool) -> None:
    pool = pool_of("fork", merge_back=True)
    future: Any = pool.submit(jobs.fail)
    with pytest.raises(KeyError, match="a job"):
        future.changes()


def test_results_reach_callbacks_and_event_loops_as_they_are(pool_of: Pool) -> None:
    pool = pool_of("fork", merge_back=True)
    found = []

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        future = pool.submit(abs, -1)
        future.add_done_callback(lambda it: found.append(it.result()))
        return await loop.run_in_executor(pool, abs, -2), await asyncio.wrap_future(future)

    assert asyncio.run(main()) == (2, 1)
    assert found == [1]


def test_a_value_that_cannot_be_pickled_is_named(pool_of: Pool) -> None:
    with cart.scope(jobs.Unpicklable()):
        for send in (pool_of("fork").submit, carry):
            with pytest.raises(TypeError, match="cannot be pickled") as raised:
                send(jobs.seen)
            assert raised.value.__notes__ == ["while sending the portable variable 'tests.cart'"]


def test_a_pool_refuses_what_is_not_callable(pool_of: Pool) -> None:
    wrong: Any = 5
    pool = pool_of("fork")
    for call in (pool.submit, pool.map, carry):
        with pytest.raises(TypeError, match="must be callable"):
            call(wrong)


@pytest.mark.parametrize("method", START_METHODS)
def test_a_process_has_the_values_of_its_starter(method: str) -> None:
    context = multiprocessing.get_context(method)
    receiving, sending = context.Pipe(duplex=False)
    process = ContextProcess(target=jobs.send_seen, args=(sending,), mp_context=context)
    with tenant.scope("globex"), private.scope("of the parent"):
        process.start()
    assert receiving.recv() == ("globex", None, None)
    process.join()
    assert process.exitcode == 0


class OwnProcess(ContextProcess):
    def run(self) -> None:
        raise SystemExit(7 if tenant.get(None) == "globex" else 1)


def test_a_process_may_override_run() -> None:
    process = OwnProcess()
    with tenant.scope("globex"):
        process.start()
    process.join()
    assert process.exitcode == 7


def sent(function: Callable[..., Any], **options: Any) -> Any:
    """The function after a way through pickle."""
    return pickle.loads(pickle.dumps(carry(function, **options)))


def test_a_carried_function_has_the_values_of_the_time_when_it_was_carried() -> None:
    with tenant.scope("globex"):
        carried = sent(jobs.seen)
    with tenant.scope("of the worker"), private.scope("of the worker"):
        assert carried() == ("globex", None, "of the worker")
        assert tenant.get() == "of the worker"


def test_a_carried_function_clears_missing_values() -> None:
    carried, keeping = sent(jobs.seen), sent(jobs.seen, clear_missing=False)
    with tenant.scope("of the worker"):
        assert carried()[0] is None
        assert keeping()[0] == "of the worker"


def test_calls_of_a_carried_function_do_not_see_one_another() -> None:
    carried = sent(jobs.see_and_set)
    assert carried("left") == (None, None, None)
    assert carried("left") == (None, None, None)


def test_a_carried_coroutine_function_stays_one() -> None:
    with tenant.scope("globex"):
        carried = sent(jobs.seen_async)
    assert asyncio.iscoroutinefunction(carried) or inspect.iscoroutinefunction(carried)
    assert asyncio.run(carried()) == "globex"


def test_a_carried_function_has_the_name_and_the_signature_of_the_function() -> None:
    carried: Any = sent(jobs.see_and_set)
    assert (carried.__name__, carried.__module__) == ("see_and_set", "tests.portable.jobs")
    assert inspect.signature(carried) == inspect.signature(jobs.see_and_set)


def test_a_value_is_pickled_when_the_function_is_carried() -> None:
    items = ["tea"]
    with cart.scope(items):
        carried = carry(jobs.seen)
    items.append("milk")
    assert carried()[1] == ["tea"]


def test_other_pickles_of_values_can_be_chosen() -> None:
    cloudpickle = pytest.importorskip("cloudpickle")
    with cart.scope(lambda: "tea"):
        carried = sent(jobs.seen, dumps=cloudpickle.dumps)
    assert carried()[1]() == "tea"


def test_an_unpicklable_function_raises_as_usual() -> None:
    with pytest.raises((AttributeError, pickle.PicklingError)):
        pickle.dumps(carry(lambda: None))


def test_a_variable_that_the_receiver_does_not_declare_is_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    from ctxvars._portable import registry

    user = portable(ContextVar("user"), "tests.newer")
    with user.scope("Ada"), tenant.scope("globex"):
        carried = pickle.dumps(carry(jobs.seen))
    del registry._declared["tests.newer"]
    registry._tables = None
    assert pickle.loads(carried)()[0] == "globex"
    assert "dropped the portable variable 'tests.newer'" in caplog.text


def test_multiprocessing_pools_carry_calls_and_can_clear_inherited_values() -> None:
    context = multiprocessing.get_context("fork")
    with tenant.scope("acme"):
        with context.Pool(1, initializer=ctxvars.clear_portable) as pool:
            assert pool.apply(jobs.seen)[0] is None
            with tenant.scope("globex"):
                assert pool.apply(carry(jobs.see_and_set), ("left",))[0] == "globex"
            assert pool.apply(jobs.seen)[0] is None
            pool.close()
            pool.join()
        assert tenant.get() == "acme"


@pytest.mark.parametrize("method", START_METHODS)
def test_a_deadline_reaches_the_job(method: str, pool_of: Pool) -> None:
    pool = pool_of(method)
    with ctxvars.deadline(1000):
        remaining = pool.submit(jobs.remaining).result()
    assert remaining is not None
    assert 0 < remaining <= 1000
    assert pool.submit(jobs.remaining).result() is None


def test_the_time_that_a_job_waits_for_a_worker_counts(
    pool_of: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ctxvars._portable import deadlines

    pool = pool_of("fork")
    pool.submit(jobs.seen).result()
    start = time.monotonic() - 600
    monkeypatch.setattr(deadlines, "clock", lambda: start)
    with ctxvars.deadline(1000):
        remaining = pool.submit(jobs.remaining).result()
    assert remaining is not None
    assert remaining <= 400
