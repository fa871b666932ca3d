"""Tasks of a Dask cluster with processes see the values of the code that submits them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

import ctxvars

pytest.importorskip("distributed", reason="Dask is not installed: pip install distributed")

import dask
import distributed
from dask.tokenize import tokenize

from ctxvars.integrations.dask import install, uninstall
from tests.engines import jobs
from tests.engines.jobs import cart, private, tenant

pytestmark = pytest.mark.filterwarnings("default")
NOTHING = None, None, None


@pytest.fixture(scope="module")
def cluster() -> Iterator[distributed.LocalCluster]:
    with tenant.scope("of the starter"), private.scope("of the starter"):
        cluster = distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address=":0"
        )
    with cluster:
        yield cluster


@pytest.fixture
def plain_client(cluster: distributed.LocalCluster) -> Iterator[distributed.Client]:
    with distributed.Client(cluster) as client:
        yield client


@pytest.fixture
def client(plain_client: distributed.Client) -> distributed.Client:
    install(plain_client)
    return plain_client


def nested_by_get_client() -> list[jobs.Seen]:
    """Submit a task in a task, before and after it has set variables."""
    client = distributed.get_client()
    first = client.submit(jobs.seen, pure=False)
    tenant.set("of the task")
    second = client.submit(jobs.seen, pure=False)
    distributed.secede()
    found = [first.result(), second.result()]
    distributed.rejoin()
    return found


def nested_by_worker_client() -> jobs.Seen:
    tenant.set("of the task")
    with distributed.worker_client() as client:
        return client.submit(jobs.seen, pure=False).result()


def nested_by_compute() -> jobs.Seen:
    tenant.set("of the task")
    return dask.delayed(jobs.seen)().compute()


class FailsOnce:
    """A function that fails once in each process, if its name is the same."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self) -> jobs.Seen:
        found = jobs.see_and_set()
        if self.name not in jobs.failed:
            jobs.failed.add(self.name)
            raise OSError("try again")
        return found


class Counter:
    def __init__(self) -> None:
        self.created_with = tenant.get(None)

    def created(self) -> str | None:
        return self.created_with

    def seen(self) -> jobs.Seen:
        return jobs.seen()


def test_tasks_see_the_values_of_their_submitter_and_of_no_earlier_task(
    client: distributed.Client,
) -> None:
    with tenant.scope("acme"), cart.scope(["tea"]), private.scope("stays"):
        assert client.submit(jobs.see_and_set).result() == ("acme", ["tea"], None)
    with tenant.scope("globex"):
        assert client.submit(jobs.see_and_set).result() == ("globex", None, None)
    assert client.submit(jobs.see_and_set).result() == NOTHING
    assert client.submit(jobs.seen).result() == NOTHING


def test_equal_calls_with_other_values_have_other_keys(client: distributed.Client) -> None:
    futures = []
    for name in ("acme", "globex", "acme"):
        with tenant.scope(name):
            futures.append(client.submit(jobs.seen, 1))
    futures.append(client.submit(jobs.seen, 1))
    assert [each.result()[0] for each in futures] == ["acme", "globex", "acme", None]
    assert futures[0].key == futures[2].key
    assert len({each.key for each in futures}) == 3


def test_keys_without_values_are_those_of_dask(client: distributed.Client) -> None:
    assert client.submit(jobs.seen, 1).key == f"seen-{tokenize(jobs.seen, {}, 1)}"
    with tenant.scope("acme"):
        assert client.submit(jobs.seen, 1).key.startswith("seen-")
        assert client.submit(lambda: 1).key.startswith("lambda-")
        assert client.submit(func=jobs.seen, key="mine").key == "mine"
    keys = [each.key for each in client.map(jobs.seen, [1, 2])]
    uninstall(client)
    assert [each.key for each in client.map(jobs.seen, [1, 2])] == keys


def test_keys_are_stable_until_a_deadline(client: distributed.Client) -> None:
    with ctxvars.deadline(60):
        first = client.submit(jobs.remaining)
        assert client.submit(jobs.remaining).key == first.key
    with ctxvars.deadline(50):
        other = client.submit(jobs.remaining)
    assert first.key != other.key
    assert 50 < first.result() <= 60
    assert 0 < other.result() <= 50


@pytest.mark.parametrize("batch_size", [None, 2])
def test_map(client: distributed.Client, batch_size: int | None) -> None:
    with tenant.scope("acme"):
        futures = client.map(jobs.see_and_set, range(4), batch_size=batch_size)
    with tenant.scope("globex"):
        others = client.map(jobs.see_and_set, range(4), batch_size=batch_size)
    assert client.gather(futures) == [("acme", None, None)] * 4
    assert client.gather(others) == [("globex", None, None)] * 4


def test_coroutine_functions_run_on_the_loop_of_the_worker(client: distributed.Client) -> None:
    with tenant.scope("acme"):
        futures = client.map(jobs.see_and_set_async, range(3))
    assert client.gather(futures) == [("acme", None, None)] * 3
    assert client.submit(jobs.see_and_set_async).result() == NOTHING


def test_delayed_functions_see_the_values_of_compute(client: distributed.Client) -> None:
    with tenant.scope("of the builder"):
        one = dask.delayed(jobs.see_and_set)()
        both = dask.delayed([one, dask.delayed(jobs.see_and_set)(one)])
    with tenant.scope("acme"):
        assert both.compute() == [("acme", None, None)] * 2
        assert dask.compute(one, both)[0] == ("acme", None, None)
    assert both.compute() == [NOTHING] * 2


def test_a_collection_computed_with_other_values_is_computed_again(
    client: distributed.Client,
) -> None:
    both = dask.delayed([dask.delayed(jobs.seen)(), dask.delayed(jobs.seen)()])
    futures = []
    # All futures are held, so Dask keeps each result.
    for name in ("acme", "globex"):
        with tenant.scope(name):
            futures += [client.compute(both), client.compute(both)]
    futures.append(client.compute(both))
    found = [each.result()[0][0] for each in futures]
    assert found == ["acme", "acme", "globex", "globex", None]
    assert len({each.key for each in futures}) == 3


def test_persisted_results_have_the_values_of_persist(client: distributed.Client) -> None:
    one = dask.delayed(jobs.seen)()
    with tenant.scope("acme"):
        persisted = client.persist(one)
        assert persisted.compute() == ("acme", None, None)
    with tenant.scope("globex"):
        assert persisted.compute() == ("acme", None, None)
        later = dask.delayed(jobs.tenants_of)(persisted)
        assert later.compute() == ("acme", "globex")
        assert client.persist(persisted).compute() == ("acme", None, None)
    without = client.persist(one)
    with tenant.scope("globex"):
        assert without.compute() == NOTHING
        assert one.compute() == ("globex", None, None)


def test_results_that_were_persisted_with_different_values_can_be_combined(
    client: distributed.Client,
) -> None:
    one, persisted = dask.delayed(jobs.seen)(), []
    for name in ("acme", "globex"):
        with tenant.scope(name):
            persisted += client.persist([one])
    persisted += dask.persist(one)
    pure = dask.delayed(jobs.tenants_of, pure=True)
    with tenant.scope("initech"):
        assert [each[0] for each in dask.compute(*persisted)] == ["acme", "globex", None]
        assert [each[0] for each in dask.compute(*map(pure, persisted))] == ["acme", "globex", None]
        assert one.compute()[0] == "initech"
    assert one.compute()[0] is None
    assert persisted[0].compute()[0] == "acme"


def test_persisted_bags(client: distributed.Client) -> None:
    bag = pytest.importorskip("dask.bag").from_sequence(range(4), npartitions=2).map(jobs.seen)
    persisted = []
    for name in ("acme", "globex"):
        with tenant.scope(name):
            persisted.append(bag.persist())
    both = dask.compute(*(each.map(jobs.tenants_of) for each in persisted))
    assert both == ([("acme", None)] * 4, [("globex", None)] * 4)


def test_persisted_arrays(client: distributed.Client) -> None:
    arrays = pytest.importorskip("dask.array", reason="numpy is not installed")
    built = arrays.zeros(4, chunks=2).map_blocks(jobs.length_of_tenant, dtype=float)
    persisted = []
    for name in ("acme", "globex"):
        with tenant.scope(name):
            persisted.append(built.persist())
    assert dask.compute(*persisted, persisted[0] + persisted[1])[2].tolist() == [10] * 4
    with tenant.scope("x"):
        assert built.sum().compute() == 4
    assert built.sum().compute() == 0


def test_persisted_data_frames(client: distributed.Client) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frames = pytest.importorskip("dask.dataframe", reason="pyarrow is not installed")
    frame = frames.from_pandas(pandas.DataFrame({"x": [0.0] * 4}), npartitions=2)
    built = frame.map_partitions(jobs.length_of_tenant, meta={"x": float})
    persisted = []
    for name in ("acme", "globex"):
        with tenant.scope(name):
            persisted.append(built.persist())
    assert dask.compute(*persisted, persisted[0] + persisted[1])[2]["x"].tolist() == [10] * 4
    with tenant.scope("x"):
        assert built["x"].sum().compute() == 4
    assert built["x"].sum().compute() == 0


def test_fused_tasks_and_bags(client: distributed.Client) -> None:
    bag = pytest.importorskip("dask.bag").from_sequence(range(4), npartitions=2)
    with tenant.scope("acme"):
        assert bag.map(jobs.seen).map(lambda found: found[0]).compute() == ["acme"] * 4
    assert bag.map(jobs.seen).compute() == [NOTHING] * 4


def test_graphs_of_tuples(client: distributed.Client) -> None:
    graph = {"a": (jobs.seen, 1), ("b", 0): (list, ["a"]), 3: 4, "not needed": (jobs.fail,)}
    with tenant.scope("acme"):
        assert client.get(graph, ["a", ("b", 0), 3]) == [
            ("acme", None, None),
            [("acme", None, None)],
            4,
        ]


def test_annotations_apply_to_tasks_with_values(client: distributed.Client) -> None:
    with dask.annotate(retries=1):
        retried = dask.delayed(FailsOnce("annotated"))()
    with tenant.scope("acme"):
        assert retried.compute(optimize_graph=False) == ("acme", None, None)


def test_retries_see_the_values(client: distributed.Client) -> None:
    with tenant.scope("acme"):
        future = client.submit(FailsOnce("submitted"), retries=1)
    assert future.result() == ("acme", None, None)


def test_exceptions_arrive(client: distributed.Client) -> None:
    with tenant.scope("acme"), pytest.raises(KeyError, match="a job"):
        client.submit(jobs.fail).result()
    with tenant.scope("acme"), pytest.raises(KeyError, match="a job"):
        dask.delayed(jobs.fail)().compute()
    assert client.submit(jobs.seen).result() == NOTHING


def test_errors_can_be_reproduced_here(client: distributed.Client) -> None:
    for future in (client.submit(jobs.fail), client.compute(dask.delayed(jobs.fail)())):
        with pytest.raises(KeyError, match="a job"):
            client.recreate_error_locally(future)
    assert jobs.seen() == NOTHING


def test_tasks_that_are_retried_or_cancelled(client: distributed.Client) -> None:
    with tenant.scope("acme"):
        future = client.submit(FailsOnce("retried by hand"))
    with pytest.raises(OSError, match="try again"):
        future.result()
    with tenant.scope("globex"):
        client.retry(future)
    assert future.result() == ("acme", None, None)
    client.cancel(future)
    assert future.cancelled()


def test_futures_are_arguments(client: distributed.Client) -> None:
    with tenant.scope("acme"):
        first = client.submit(jobs.seen)
    with tenant.scope("globex"):
        second = client.submit(jobs.tenants_of, first)
    assert second.result() == ("acme", "globex")


def test_tasks_that_a_task_submits_see_its_values(client: distributed.Client) -> None:
    with tenant.scope("acme"):
        nested = client.submit(nested_by_get_client, pure=False).result()
        assert nested == [("acme", None, None), ("of the task", None, None)]
        assert client.submit(nested_by_worker_client).result() == ("of the task", None, None)
        assert client.submit(nested_by_compute).result() == ("of the task", None, None)
    assert client.submit(jobs.seen).result() == NOTHING


def test_actors_are_created_with_the_values(client: distributed.Client) -> None:
    with tenant.scope("acme"):
        actor: Any = client.submit(Counter, actor=True).result()
        assert actor.created().result() == "acme"
        # The calls of methods do not go through the scheduler.
        assert actor.seen().result() == NOTHING


def test_an_executor_of_a_client(client: distributed.Client) -> None:
    with tenant.scope("acme"), client.get_executor(pure=False) as executor:
        assert executor.submit(jobs.seen).result() == ("acme", None, None)
        assert [*executor.map(jobs.seen, [1, 2])] == [("acme", None, None)] * 2


def test_an_asynchronous_client(cluster: distributed.LocalCluster) -> None:
    async def main() -> None:
        async with distributed.Client(cluster.scheduler_address, asynchronous=True) as client:
            install(client)
            with tenant.scope("acme"):
                future = client.submit(jobs.seen)
                computed = client.compute(dask.delayed(jobs.see_and_set_async)())
            assert await future == ("acme", None, None)
            assert await computed == ("acme", None, None)
            assert await client.submit(jobs.seen) == NOTHING

    asyncio.run(main())


def test_threads_as_workers_do_not_see_values_of_the_client() -> None:
    with (
        tenant.scope("of the starter"),
        private.scope("of the starter"),
        distributed.Client(
            processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0"
        ) as client,
    ):
        install(client)
        with tenant.scope("acme"):
            found = client.submit(jobs.see_and_set, pure=False).result()
            assert found == ("acme", None, found[2])
        tenant.delete()
        for _ in range(2):
            found = client.submit(jobs.see_and_set, pure=False).result()
            # The event loop of the worker may have variables of the starter that are not declared.
            assert found in (NOTHING, (None, None, "of the starter"))
        assert client.submit(nested_by_get_client, pure=False).result()[1][0] == "of the task"
        uninstall(client)
        # Without the integration, it is the worker's.
        found = client.submit(nested_by_get_client, pure=False).result()[1]
        assert found[0] in (None, "of the starter")
        with pytest.raises(ValueError, match="not installed"):
            uninstall(client)


def test_a_value_that_cannot_be_pickled_fails_in_submit(client: distributed.Client) -> None:
    with cart.scope(jobs.Unpicklable()), pytest.raises(TypeError) as failed:
        client.submit(jobs.seen)
    assert failed.value.__notes__ == ["while sending the portable variable 'tests.engines.cart'"]


def test_errors_of_dask_stay(client: distributed.Client) -> None:
    with pytest.raises(TypeError, match="First input to submit must be a callable"):
        client.submit(1)
    with pytest.raises(TypeError, match="Iterators"):
        client.map(jobs.seen, iter([1]))


def test_install_twice_and_uninstall(plain_client: distributed.Client) -> None:
    with pytest.raises(ValueError, match="not installed"):
        uninstall(plain_client)
    before = dict(vars(plain_client))
    install(plain_client)
    install(plain_client)
    with tenant.scope("acme"):
        assert plain_client.submit(jobs.seen).result() == ("acme", None, None)
    uninstall(plain_client)
    assert vars(plain_client).keys() == before.keys()
    with tenant.scope("acme"):
        assert plain_client.submit(jobs.seen, 2).result() == NOTHING
    with pytest.raises(TypeError, match="must be a distributed"):
        install("client")  # type: ignore[arg-type]
