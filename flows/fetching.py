"""A list by path or by URL: what stands elsewhere is fetched into a folder of this user's own, and deleted afterwards.

A list carries auth values, so it is written to no log and to no parameter; and a URL may be signed, so no message
repeats more of it than its host and its file's name.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit


class NotFetched(Exception):
    """The file could not be fetched; the text says why, without any secret that the URL may hold."""


def is_url(place: str) -> bool:
    """Tell whether ``place`` is a URL and not a path."""
    protocol, mark, _ = place.partition("://")
    return bool(mark) and protocol.replace("+", "").isalnum()


def name_of(place: str) -> str:
    """Return the name of the file at ``place``."""
    name = PurePosixPath(unquote(urlsplit(place).path)).name if is_url(place) else Path(place).name
    return "".join(letter for letter in name if letter.isprintable() and letter not in '\\/:*?"<>|')


@asynccontextmanager
async def fetched(place: str) -> AsyncIterator[Path]:
    """Give the path of the file at ``place`` for the time of the block. Raises :class:`NotFetched`.

    A path is given as it is. Credentials for a URL come from where its file system looks for them, such as the
    environment; in the URL they are refused, since parameters are shown to everybody.
    """
    if not is_url(place):
        yield Path(place)
        return
    with TemporaryDirectory(prefix="onboard-list-") as folder:  # readable by nobody else
        file = Path(folder) / (name_of(place) or "list")
        await asyncio.to_thread(_fetch, place, file)
        yield file


def _fetch(url: str, file: Path) -> None:
    import fsspec  # type: ignore[import-untyped]  # it ships no types

    where = _describe(url)
    if "@" in urlsplit(url).netloc and urlsplit(url).scheme in ("http", "https", "ftp", "sftp"):
        raise NotFetched(f"{where}: leave user and password out of the URL, everybody who sees the run can read it")
    try:
        with fsspec.open(url, "rb") as source, file.open("xb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
    except FileNotFoundError as missing:
        why = "the host cannot be reached" if _is_unreachable(missing) else "there is no such file"
        raise NotFetched(f"{where}: {why}") from None
    except PermissionError:
        raise NotFetched(f"{where}: access is denied; check the credentials of the process that runs this") from None
    except ImportError as missing:
        raise NotFetched(
            f"{where}: {urlsplit(url).scheme}:// needs a package that is not installed where this runs: "
            f"{_first_line(missing)}"
        ) from None
    except Exception as fault:  # each file system raises errors of its own, whose texts may repeat a signed URL
        if isinstance(fault, ValueError) and "rotocol not known" in str(fault):
            raise NotFetched(f"{where}: nothing is known that reads {urlsplit(url).scheme}://") from None
        raise NotFetched(f"{where} cannot be read ({type(fault).__name__})") from None


def _is_unreachable(missing: BaseException) -> bool:
    """Tell a host that does not answer from a file that is not there: fsspec says the same of both."""
    cause = missing.__cause__
    if cause is None or isinstance(cause, FileNotFoundError):
        return cause is not None and _is_unreachable(cause)
    return isinstance(cause, OSError)


def _describe(url: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}/…/{name_of(url)}"


def _first_line(missing: ImportError) -> str:
    text = str(missing).strip()
    return text.splitlines()[0] if text else "it cannot be imported"
