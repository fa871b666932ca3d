"""Dask: portable variables travel with tasks to the workers of a cluster.

Dask pickles functions and arguments, so the values travel as a pickle, too, and variables that are
declared for "process" are among them. There are no options `accept` and `signer`: who can change
the pickle of a task can run code in any case.

`install` replaces four methods of one client. `submit` and `map` wrap the function, and Dask
derives the keys of tasks from the wrapped function: the token is that of the function and the
values. `_graph_to_futures`, through which all graphs leave a client, wraps each task of the graphs
of `compute`, `persist` and `get`, and appends a token of the values to the keys. `persist` gives
these keys to the collections that it returns.

Without the tokens, the scheduler would take two calls with different values for one, and one caller
would get the result of the other. Without any values, the keys are those that Dask gives, except in
the results of `persist`.

The graph is rewritten where Dask materializes it, on the scheduler. A task that asks for a client,
by `get_client` or `worker_client`, gets one that is installed.

Annotations and a plugin for workers were not chosen: keys do not depend on annotations, and an
asynchronous client can register a plugin only in a coroutine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import signature
from threading import local
from typing import Any, ClassVar
from uuid import uuid4

from dask._expr import Expr, LLGExpr
from dask._task_spec import Alias, DataNode, GraphNode, convert_legacy_graph
from dask.tokenize import normalize_token, tokenize
from dask.utils import funcname
from distributed import Client, Future, get_worker
from distributed.protocol.pickle import dumps
from distributed.utils import iscoroutinefunction

from ctxvars._portable import registry
from ctxvars._portable.processes.carry import CarriedFunction
from ctxvars._portable.processes.payload import dumps_values
from ctxvars._portable.registry import UNSET

__all__ = ["install", "uninstall"]

_REPLACED = ("submit", "map", "persist", "_graph_to_futures")
"""The methods of a client that `install` replaces."""
_NO_VALUES = tokenize(())
"""Stands for the token of no values in the names of results that are persisted."""


class _Call(local):
    """The method that runs in this thread: "submit" (or `map`), "persist", or ""."""

    # Not a context variable: Dask passes the call to its event loop, with a copy of the context.
    method = ""

    @contextmanager
    def of(self, method: str) -> Iterator[None]:
        self.method = method
        try:
            yield
        finally:
            self.method = ""


_call = _Call()


def install(client: Client) -> None:
    """Run the tasks that a client submits with the values that portable variables have now.

    Args:
        client: a synchronous or asynchronous `distributed.Client`.

    Tasks of `submit` and `map` have the values of the call. Tasks of a collection, such as those of
    `dask.delayed`, have the values of the call of `compute` or `persist`, not those of the code
    that builds the collection. Tasks that these tasks submit have the values of the tasks. A second
    `install` changes nothing.

    Raises:
        TypeError: `client` is not a `distributed.Client`.

    An exception that pickling a value raises is passed on to the code that submits the task, with a
    note that names the variable. O(declared variables + size of the values) for each call of
    `submit`, `map`, `compute`, `persist` or `get`, and O(tasks) on the scheduler.
    """
    if not isinstance(client, Client):
        raise TypeError(f"install() argument 'client' must be a distributed.Client, got {client!r}")
    if not _is_installed(client):
        client.submit = _wrapping(client.submit)
        client.map = _wrapping(client.map)
        client.persist = _renaming(client.persist)
        client._graph_to_futures = _rewriting(client._graph_to_futures)


def uninstall(client: Client) -> None:
    """Undo `install`. Tasks that were submitted keep their values.

    Raises:
        ValueError: it is not installed for this client.
    """
    if not isinstance(client, Client) or not _is_installed(client):
        raise ValueError(f"ctxvars.integrations.dask is not installed for {client!r}")
    for name in _REPLACED:
        delattr(client, name)


def _is_installed(client: Client) -> bool:
    return hasattr(vars(client).get("_graph_to_futures"), "_of_ctxvars")


# In the process that submits


def _wrapping(submit: Callable[..., Any]) -> Callable[..., Any]:
    """Return `Client.submit` or `Client.map` for functions that get the current values."""

    @wraps(submit)
    def submit_with_values(func: Any, *args: Any, **kwargs: Any) -> Any:
        if not callable(func) or _call.method == "submit":
            # The method raises `TypeError`, or `map` calls itself for each batch.
            return submit(func, *args, **kwargs)
        with _call.of("submit"):
            return submit(CarriedTask(func, *_current_values()), *args, **kwargs)

    return submit_with_values


def _renaming(persist: Callable[..., Any]) -> Callable[..., Any]:
    """Return `Client.persist` with results whose names depend on the values.

    The results of the original have the names of the collections. So two of them, for different
    values, could not be parts of one graph.
    """

    @wraps(persist)
    def persist_with_values(*args: Any, **kwargs: Any) -> Any:
        token = _current_values()[1] or _NO_VALUES
        with _call.of("persist"):
            found = persist(*args, **kwargs)
        if not isinstance(found, list):
            return _renamed(found, token)
        return [_renamed(each, token) for each in found]

    return persist_with_values


def _renamed(collection: Any, token: str) -> Any:
    """Return a collection of results with other names."""
    rebuild, args = collection.__dask_postpersist__()
    results = {
        key: each for key, each in collection.__dask_graph__().items() if isinstance(each, Future)
    }
    by_new_key = {_key_with(key, token): each for key, each in results.items()}
    if "rename" in signature(rebuild).parameters:
        names = {key[0] if isinstance(key, tuple) else key for key in results}
        return rebuild(by_new_key, *args, rename={each: _key_with(each, token) for each in names})
    # Data frames take all names. Collections of other packages keep theirs.
    return rebuild(by_new_key, *args) if hasattr(collection, "expr") else collection


def _rewriting(graph_to_futures: Callable[..., Any]) -> Callable[..., Any]:
    """Return `Client._graph_to_futures` for graphs whose tasks get the current values."""

    @wraps(graph_to_futures)
    def graph_to_futures_with_values(
        expr: Any, keys: Iterable[Any], *args: Any, actors: Any = None, **kwargs: Any
    ) -> Any:
        # `submit` has wrapped the function, and `recreate_error_locally` asks for tasks that exist,
        # with an empty dict.
        if _call.method == "submit" or not isinstance(expr, Expr):
            return graph_to_futures(expr, keys, *args, actors=actors, **kwargs)
        payload, token = _current_values()
        if _call.method == "persist":
            token = token or _NO_VALUES
        new_keys = {key: _key_with(key, token) for key in keys}
        if isinstance(actors, Iterable):
            actors = [_key_with(key, token) for key in actors]
        graph = GraphWithValues(expr, [*new_keys], payload, token, _determ_token=uuid4().hex)
        futures = graph_to_futures(graph, [*new_keys.values()], *args, actors=actors, **kwargs)
        return {key: futures[new] for key, new in new_keys.items()}

    graph_to_futures_with_values._of_ctxvars = True  # type: ignore[attr-defined]
    return graph_to_futures_with_values


def _current_values() -> tuple[bytes, str]:
    """Return the values, pickled, and their token: "" without any values."""
    named = [
        (name, value)
        for name, declared in registry.tables().by_name.items()
        if (value := declared.variable.get(UNSET)) is not UNSET
    ]
    # Not the token of the pickle: the remaining time of a deadline is different in each pickle.
    return dumps_values(dumps), tokenize(named) if named else ""


def _key_with(key: Any, token: str) -> Any:
    """Return the key of a task for a run with other values. Its first word stays the name."""
    if not token:
        return key
    if isinstance(key, str):
        return f"{key}-{token}"
    return (_key_with(key[0], token), *key[1:]) if isinstance(key, tuple) and key else (key, token)


# On the scheduler


class GraphWithValues(LLGExpr):
    """A graph whose tasks get values, and whose keys have the token of these values."""

    # `dsk` is the name that the base class has for the graph.
    _parameters: ClassVar = ["dsk", "keys", "payload", "token"]

    def __dask_keys__(self) -> list[Any]:
        token = self.operand("token")
        return [_key_with(key, token) for key in self.operand("keys")]

    def __dask_annotations__(self) -> dict[str, dict[Any, Any]]:
        token = self.operand("token")
        return {
            kind: {_key_with(key, token): value for key, value in by_key.items()}
            for kind, by_key in self.operand("dsk").__dask_annotations__().items()
        }

    def __dask_graph__(self) -> dict[Any, GraphNode]:
        payload, token = self.operand("payload"), self.operand("token")
        graph = convert_legacy_graph(self.operand("dsk").__dask_graph__())
        new_keys = {key: _key_with(key, token) for key in graph}
        rewritten: dict[Any, GraphNode] = {}
        for key, node in graph.items():
            new = new_keys[key]
            if isinstance(node, Alias):
                # An alias of itself is a task that was persisted with these values.
                target = new_keys.get(node.target, node.target)
                if target != new:
                    rewritten[new] = Alias(new, target)
            elif isinstance(node, DataNode):
                rewritten[new] = DataNode(new, node.value)
            else:
                subs = {each: new_keys[each] for each in node.dependencies if each in new_keys}
                rewritten[new] = NodeWithValues(new, node.substitute(subs), payload)
        for key in self.operand("keys"):
            new = _key_with(key, token)
            if key not in graph and new != key:
                # The result exists, because it was persisted with other values.
                rewritten[new] = Alias(new, key)
        return rewritten


class NodeWithValues(GraphNode):
    """A task of a graph, with values."""

    def __init__(self, key: Any, node: GraphNode, payload: bytes) -> None:
        self.key = key
        self.node = node
        self.payload = payload
        self._dependencies = node.dependencies

    @property
    def data_producer(self) -> bool:
        return bool(self.node.data_producer)

    @property
    def is_coro(self) -> bool:
        return bool(self.node.is_coro)

    def __call__(self, values: Any = ()) -> Any:
        _install_on_worker()
        return CarriedFunction(self.node, self.payload, clear_missing=True)(values)

    def copy(self) -> NodeWithValues:
        return NodeWithValues(self.key, self.node, self.payload)

    def substitute(self, subs: dict[Any, Any], key: Any = None) -> NodeWithValues:
        return NodeWithValues(key or self.key, self.node.substitute(subs), self.payload)

    def __dask_tokenize__(self) -> object:
        return type(self).__name__, normalize_token(self.node), self.payload

    def __reduce__(self) -> tuple[Any, ...]:
        return NodeWithValues, (self.key, self.node, self.payload)

    def __repr__(self) -> str:
        return repr(self.node)


# On a worker


class CarriedTask(CarriedFunction[..., Any]):
    """A function with the values of variables."""

    def __init__(self, function: Callable[..., Any], payload: bytes, token: str) -> None:
        super().__init__(function, payload, clear_missing=True)
        self._token = token
        # Keys begin with the name of the function.
        self.__name__ = funcname(function)
        # Before Python 3.12, `inspect` takes only functions for coroutine functions, but Dask also
        # asks for the mark of tornado.
        self.__tornado_coroutine__ = iscoroutinefunction(function)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        _install_on_worker()
        return super().__call__(*args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        return CarriedTask, (self.__wrapped__, self._payload, self._token)

    def __dask_tokenize__(self) -> object:
        function = normalize_token(self.__wrapped__)
        return (function, self._token) if self._token else function


def _install_on_worker() -> None:
    """Install the integration for the client that this worker makes for its tasks."""
    try:
        worker = get_worker()
    except ValueError:
        return
    if "_get_client" in vars(worker):
        return
    get_client = worker._get_client

    @wraps(get_client)
    def get_client_with_values(*args: Any, **kwargs: Any) -> Client:
        client = get_client(*args, **kwargs)
        # A worker in the process of a client gives that one to its tasks.
        if client in worker._initialized_clients:
            install(client)
        return client

    worker._get_client = get_client_with_values
