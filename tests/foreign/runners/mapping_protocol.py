"""CPython's tests of the mapping protocol, which `dict` passes, for maps and mutations."""

import re
from typing import Any

from adapted_maps import Versions
from test import mapping_tests

import ctxvars


def spelled_as_dict(value: object) -> str:
    text = repr(value).replace("ctxvars.MapMutation({...})", "{...}")
    return re.sub(r"^ctxvars\.MapMutation\((.*)\)$", r"\1", text)


mapping_tests.repr = spelled_as_dict


class MapTests(mapping_tests.TestHashMappingProtocol):
    """Only tests without writes are meaningful for an immutable map: the others fail."""

    type2test = ctxvars.Map

    def _full_mapping(self, data: dict[Any, Any]) -> Any:
        return ctxvars.Map(data)


class VersionsTests(mapping_tests.TestHashMappingProtocol):
    """Each write makes a new version of the map."""

    type2test = Versions


class MutationTests(mapping_tests.TestHashMappingProtocol):
    """Each write edits a mutation of a map that is empty, or that has the data already."""

    @staticmethod
    def type2test(*collections: Any, **entries: Any) -> Any:
        return ctxvars.Map(*collections, **entries).mutate()

    def _full_mapping(self, data: dict[Any, Any]) -> Any:
        return self.type2test(data)
