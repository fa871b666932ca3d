"""Downloads source distributions, which have the tests of a package."""

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

SECONDS_TO_DOWNLOAD = 120


def download(package: str, version: str, sha256: str, cache: Path) -> Path:
    """Return the archive, from the cache or by download. Skip the test if that is not possible."""
    kept = cache / f"{package}-{version}.tar.gz"
    if kept.exists():
        return kept
    # The tests of several interpreters may share the cache, so it only gets complete files.
    directory = cache / f"{sys.implementation.cache_tag}-{package}"
    directory.mkdir(exist_ok=True)
    # pip finds the archive, checks its hash and reads the metadata, without compiling.
    wanted = directory / "wanted.txt"
    wanted.write_text(f"{package}=={version} --hash=sha256:{sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--retries=1", "--no-deps"]
    command += [f"--no-binary={package}", "--requirement", str(wanted), "--dest", str(directory)]
    try:
        subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS_TO_DOWNLOAD,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        if "HASHES" in error.stderr:
            pytest.fail(f"{kept.name} is not the one whose hash is known: {error.stderr}")
        pytest.skip(f"{kept.name} cannot be downloaded: {error.stderr.strip()[-200:]}")
    except subprocess.TimeoutExpired:
        pytest.skip(f"{kept.name} cannot be downloaded in {SECONDS_TO_DOWNLOAD} seconds")
    return (directory / kept.name).replace(kept)


def unpack(archive: Path, folder: str, directory: Path) -> Path:
    """Unpack one folder of a source distribution, and the settings at its root."""
    top = archive.name.removesuffix(".tar.gz")
    with tarfile.open(archive) as file:
        wanted = [
            member
            for member in file.getmembers()
            if member.name.startswith(f"{top}/{folder}/") or member.name == f"{top}/pyproject.toml"
        ]
        file.extractall(directory, wanted, filter="data")
    return directory / top
