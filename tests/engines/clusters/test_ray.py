"""Tasks and actors of Ray see the values of the code that calls them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ctxvars

pytest.importorskip("ray", reason="Ray is not installed: pip install ray")

import ray

from ctxvars.integrations.ray import install, uninstall
from tests.engines import jobs
from tests.engines.clusters import ray_jobs
from tests.engines.jobs import cart, private, tenant


def patched() -> tuple[object, object]:
    return ray._private.worker._make_remote, ray.actor.ActorClass._remote


pytestmark = pytest.mark.filterwarnings("default")
PLAIN = patched()
NOTHING = None, None, None
ACME = "acme", None, None


@pytest.fixture(scope="module", autouse=True)
def _cluster() -> Iterator[None]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # The paths of sockets in it must be short.
    directory = tempfile.mkdtemp(prefix="ray")
    try:
        with tenant.scope("of the starter"), private.scope("of the starter"):
            ray.init(
                _temp_dir=directory,
                include_dashboard=False,
                log_to_driver=False,
                num_cpus=1,
                object_store_memory=80_000_000,
            )
        install()
        yield
        uninstall()
        ray.shutdown()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def see() -> Any:
    return ray.remote(jobs.see_and_set)


def test_tasks_see_the_values_of_their_caller_and_of_no_earlier_task(see: Any) -> None:
    with tenant.scope("acme"), cart.scope(["tea"]), private.scope("stays"):
        assert ray.get(see.remote()) == ("acme", ["tea"], None)
    with tenant.scope("globex"):
        assert ray.get(see.remote(1, 2)) == ("globex", None, None)
    assert ray.get(see.remote()) == NOTHING


def test_options(see: Any) -> None:
    with tenant.scope("acme"):
        assert ray.get(see.options(name="named").remote()) == ACME
        assert ray.get(ray.remote(num_cpus=1)(jobs.seen).remote()) == ACME


def test_a_deadline(see: Any) -> None:
    remaining = ray.remote(jobs.remaining)
    with ctxvars.deadline(60):
        assert 0 < ray.get(remaining.remote()) <= 60
    assert ray.get(remaining.remote()) is None


def test_generators(see: Any) -> None:
    each_seen = ray.remote(ray_jobs.each_seen)
    with tenant.scope("acme"):
        references = each_seen.remote(2)
    assert ray.get([*references]) == [ACME, ("left behind", ["left behind"], "left behind")]
    assert ray.get(see.remote()) == NOTHING


def test_exceptions_and_retries(see: Any, tmp_path: Path) -> None:
    with tenant.scope("acme"):
        with pytest.raises(KeyError, match="a job"):
            ray.get(ray.remote(jobs.fail).remote())
        retried = ray.remote(retry_exceptions=True)(ray_jobs.see_then_fail_once)
        assert ray.get(retried.remote(str(tmp_path))) == ACME
    assert (tmp_path / "failed").exists()
    assert ray.get(see.remote()) == NOTHING


def test_nested_calls_have_the_values_of_the_task(see: Any) -> None:
    with tenant.scope("acme"):
        found = ray.get(ray.remote(ray_jobs.nested).remote())
    assert found == [ACME, *[("of the task", None, None)] * 3]
    assert ray.get(see.remote()) == NOTHING


def test_arguments_and_decorators_of_the_program_stay() -> None:
    seen_with = ray.remote(ray_jobs.seen_with)
    with tenant.scope("acme"):
        found = ray.get(seen_with.remote("one", key="value"))
        assert found == (("one", "of the decorator"), {"key": "value"}, ACME)
        with pytest.raises(TypeError, match="missing a required argument"):
            ray.remote(ray_jobs.each_seen).remote()


def test_actors() -> None:
    with tenant.scope("acme"):
        actor = ray.remote(ray_jobs.Sees).remote()
        found = ray.get(actor.created_with.remote())
    assert found == ACME
    assert ray.get(actor.see.remote()) == NOTHING
    with tenant.scope("globex"):
        assert ray.get(actor.see.options(name="named").remote()) == ("globex", None, None)
        assert ray.get(actor.seen_twice.remote()) == [("globex", None, None)] * 2
        assert ray.get([*actor.each_seen.remote(1)]) == [("globex", None, None)]
        assert ray.get(actor.doubled.remote(2)) == 4
        with pytest.raises(KeyError, match="a job"):
            ray.get(actor.fail.remote())
        # A task that got the handle.
        found = ray.get(ray.remote(ray_jobs.called).remote(actor))
        assert found == [("globex", None, None)]
    assert ray.get(actor.see.remote()) == NOTHING


def test_methods_called_by_methods_see_what_these_have_set() -> None:
    actor = ray.remote(ray_jobs.SeesToo).options(name="sees").remote()
    with tenant.scope("acme"):
        # Another handle of the actor.
        found = ray.get(ray.get_actor("sees").see_by_another_method.remote())
    assert found == (("of the method", None, None), ("left behind", ["left behind"], "left behind"))
    assert ray.get(actor.see.remote()) == NOTHING


def test_asynchronous_actors() -> None:
    actor = ray.remote(ray_jobs.SeesAsync).remote()
    references = []
    for name in ("acme", "globex"):
        with tenant.scope(name):
            references.append(actor.see.remote())
    assert ray.get(references) == [ACME, ("globex", None, None)]
    with tenant.scope("acme"):
        assert ray.get([*actor.each_seen.remote(1)]) == [ACME]
    assert ray.get([*actor.each_seen.remote(1)]) == [NOTHING]


def test_threaded_actors() -> None:
    actor = ray.remote(max_concurrency=2)(ray_jobs.Threads).remote()
    references = []
    for number in range(6):
        with tenant.scope(str(number)):
            references.append(actor.see.remote())
    assert ray.get(references) == [(str(number), None, None) for number in range(6)]
    assert ray.get(actor.see.remote()) == NOTHING


def test_a_direct_call_sees_the_values_of_its_caller() -> None:
    with tenant.scope("acme"):
        assert ray.remote(jobs.seen)._function() == ACME


def test_a_value_that_cannot_be_pickled_fails_in_remote(see: Any) -> None:
    with cart.scope(jobs.Unpicklable()), pytest.raises(TypeError) as failed:
        see.remote()
    assert failed.value.__notes__ == ["while sending the portable variable 'tests.engines.cart'"]


def test_install_twice_and_uninstall() -> None:
    installed = patched()
    assert PLAIN[0] is not installed[0]
    install()
    assert patched() == installed
    uninstall()
    try:
        assert patched() == PLAIN
        with tenant.scope("acme"):
            assert ray.get(ray.remote(jobs.seen).remote()) == NOTHING
        with pytest.raises(ValueError, match="not installed"):
            uninstall()
    finally:
        install()
