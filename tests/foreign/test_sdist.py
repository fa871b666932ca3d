"""A source distribution that cannot be downloaded skips its test; a wrong hash fails."""

from pathlib import Path

import pytest

from tests.foreign.sdist import download


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which pip looks for packages."""
    directory = tmp_path / "index"
    directory.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
    return directory


@pytest.mark.usefixtures("index")
def test_missing_is_skipped(tmp_path: Path) -> None:
    with pytest.raises(pytest.skip.Exception, match=r"made-1\.0\.tar\.gz cannot be downloaded"):
        download("made", "1.0", "0" * 64, tmp_path)


def test_wrong_hash_fails(index: Path, tmp_path: Path) -> None:
    (index / "made-1.0.tar.gz").write_bytes(b"something else")
    with pytest.raises(pytest.fail.Exception, match="is not the one whose hash is known"):
        download("made", "1.0", "0" * 64, tmp_path)
    assert not (tmp_path / "made-1.0.tar.gz").exists()


@pytest.mark.usefixtures("index")
def test_cached_is_not_downloaded(tmp_path: Path) -> None:
    (tmp_path / "made-1.0.tar.gz").write_bytes(b"downloaded before")
    assert download("made", "1.0", "0" * 64, tmp_path) == tmp_path / "made-1.0.tar.gz"
