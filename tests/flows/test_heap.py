import subprocess
import sys

HEAPS = """
import ctypes, sys, threading
from flows.heap import share_one_heap

if "shared" in sys.argv:
    share_one_heap()
together = threading.Barrier(4)


def work():
    kept = [bytearray(1000) for _ in range(100)]
    together.wait()
    del kept


threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()

library = ctypes.CDLL(None)
library.fdopen.restype = ctypes.c_void_p
stream = ctypes.c_void_p(library.fdopen(1, b"w"))
library.malloc_info(0, stream)
library.fflush(stream)
"""


def heaps(*words: str) -> int:
    """Return how many heaps GNU's C library has after four threads were at work at once (others have none)."""
    told = subprocess.run([sys.executable, "-c", HEAPS, *words], capture_output=True, text=True, check=True).stdout
    return told.count("<heap nr=")


def test_all_threads_share_one_heap() -> None:
    assert heaps("shared") == 1


def test_by_itself_the_library_keeps_one_for_each_thread() -> None:
    assert heaps() > 1
