"""Threads, forks, signals and the end of the interpreter."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import traceback

import numpy as np
import pytest

import treering

SECOND = 1_000_000_000


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(program), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_threads_append_and_ask_at_the_same_time(disk):
    failures, count = [], 200

    def work(number):
        try:
            ref = disk.series({"__name__": "cpu", "thread": str(number)})
            for step in range(count):
                disk.append(ref, step, float(step))
                if step % 50 == 0:
                    disk.select("cpu")
                    disk.query("sum(cpu)", step)
        except BaseException:
            failures.append(traceback.format_exc())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert disk.select("cpu").samples == 8 * count


def test_a_scan_may_be_shared_by_threads(db):
    for host in range(200):
        db.append({"__name__": "cpu", "host": str(host)}, 1, float(host))
    scan, seen, lock = db.scan("cpu"), [], threading.Lock()

    def work():
        for series in scan:
            with lock:
                seen.append(series.values[0])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(200))


def test_others_run_while_one_waits(tmp_path):
    """Compacting lets other threads of Python go on: one counts meanwhile."""
    disk = treering.open(tmp_path / "db", sync="never", maintenance="manual")
    for step in range(20):
        disk.append_columns("cpu", np.arange(20_000) * 20 + step, np.random.default_rng(step).random(20_000))
        disk.flush()
    counted, stop = [0], threading.Event()

    def count():
        while not stop.is_set():
            counted[0] += 1

    thread = threading.Thread(target=count)
    thread.start()
    try:
        before = counted[0]
        disk.compact()
        after = counted[0]
    finally:
        stop.set()
        thread.join()
        disk.close()
    assert after > before


def test_close_while_others_use_it(disk):
    odd = []

    def work():
        while True:
            try:
                disk.append("cpu", 1, 1.0)
                disk.select()
            except treering.ClosedError:
                return
            except BaseException as error:
                odd.append(error)
                return

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    disk.close()
    for thread in threads:
        thread.join(60)
    assert odd == [] and not any(thread.is_alive() for thread in threads)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="SKIPPED: this system has no fork")
def test_a_forked_child_is_told(tmp_path):
    """The child gets a clear error from everything, ends without hanging, and harms nothing."""
    program = """
        import os, sys, treering
        db = treering.open(sys.argv[1], sync="always")
        ref = db.series("cpu")
        db.append(ref, 1, 1.0)
        db.flush()
        scan, result = db.scan(), db.select()
        child = os.fork()
        if child == 0:
            calls = [lambda: db.append(ref, 2, 2.0), lambda: db.select(), lambda: db.close(),
                     lambda: next(scan), lambda: db.stats(), lambda: db.series("x"),
                     lambda: db.__exit__(None, None, None)]
            for number, call in enumerate(calls):
                try:
                    call()
                except treering.ForkError:
                    continue
                sys.exit(10 + number)
            assert result[0].values.tolist() == [1.0]
            own = treering.open(sys.argv[1], read_only=True)
            assert own.select().samples == 1
            own.close()
            # The ordinary end, with all that Python does there.
            sys.exit(0)
        _, status = os.waitpid(child, 0)
        assert status == 0, status
        db.append(ref, 2, 2.0)
        assert db.select().samples == 2 and db.verify()["problems"] == []
        assert next(scan).values.tolist() == [1.0]
        print("fine")
    """
    done = run(program, str(tmp_path / "db"))
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr
    with treering.open(tmp_path / "db") as db:
        assert db.select().samples == 2


def _in_child(path, queue):
    with treering.open(path, read_only=True) as db:
        queue.put(db.select().samples)


def test_spawned_processes_open_their_own(disk):
    disk.append("cpu", 1, 1.0)
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    child = context.Process(target=_in_child, args=(disk.path, queue))
    child.start()
    assert queue.get(timeout=60) == 1
    child.join(60)
    assert child.exitcode == 0


@pytest.mark.parametrize(
    "end",
    ["", "sys.exit(3)", "raise RuntimeError('mine')", "os._exit(0)", "del db", "db = None; gc.collect()"],
)
def test_the_interpreter_ends(tmp_path, end):
    program = f"""
        import gc, os, sys, treering
        db = treering.open(sys.argv[1])
        ref, scan, result = db.series("cpu"), db.scan(), db.select()
        db.append_columns(ref, range(1000), range(1000))
        {end}
    """
    done = run(program, str(tmp_path / "db"))
    assert done.returncode in (0, 1, 3), done.stderr
    assert "panick" not in done.stderr
    with treering.open(tmp_path / "db") as db:
        assert db.select().samples == 1000


def test_daemon_threads_at_the_end(tmp_path):
    """Threads that are still in calls when the interpreter ends do not crash it."""
    program = """
        import sys, threading, time, treering
        db = treering.open(sys.argv[1])
        def work(number):
            while True:
                db.append({"n": str(number)}, time.time_ns(), 1.0)
                db.select()
        for number in range(4):
            threading.Thread(target=work, args=(number,), daemon=True).start()
        time.sleep(0.3)
        print("end")
    """
    for attempt in range(3):
        done = run(program, str(tmp_path / f"db{attempt}"))
        assert done.stdout == "end\n"
        assert done.returncode == 0, (done.returncode, done.stderr)


def test_ctrl_c_ends_a_long_query(tmp_path):
    """A query that takes minutes ends within moments of the signal, and the database goes on."""
    program = """
        import sys, threading, time, numpy as np, treering
        db = treering.in_memory()
        for host in range(40):
            db.append_columns({"__name__": "cpu", "host": str(host)}, np.arange(20_000) * 10**9, np.arange(20_000.0))
        print("ready", flush=True)
        begin = time.monotonic()
        try:
            db.query_range("quantile_over_time(0.5, cpu[5h]) + " * 20 + "cpu", 0, 20_000 * 10**9, 2)
        except KeyboardInterrupt:
            print("interrupted", len(db.select("cpu")))
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
        time.sleep(0.5)
        child.send_signal(signal.SIGINT)
        out, errors = child.communicate(timeout=60)
    finally:
        child.kill()
    assert out == "interrupted 40\n", (out, errors)


def test_a_timeout_is_a_timeout(db):
    db.append_columns("cpu", np.arange(100_000) * SECOND, np.arange(100_000.0))
    with pytest.raises(TimeoutError):
        db.query_range("quantile_over_time(0.5, cpu[1d])", 0, 100_000 * SECOND, 10, timeout="1ms")


def test_memory_comes_back(db):
    """References, results and arrays that are dropped take nothing with them."""
    import gc
    import weakref

    db.append_columns("cpu", range(1000), np.arange(1000.0))
    before = db.stats()["series"]
    for number in range(500):
        db.series({"n": str(number)})
    result = db.select("cpu")
    gone = [weakref.ref(result), weakref.ref(db.scan()), weakref.ref(db.series("cpu"))]
    values = result[0].values
    del result
    gc.collect()
    assert [ref() for ref in gone] == [None] * 3
    assert values.sum() == 499500
    assert db.stats()["series"] >= before
