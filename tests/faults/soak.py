"""All faults, mixed, under steady load for some minutes: ``make soak MINUTES=30``."""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from faults.fleet import PLUGIN, Fleet
from faults.services import Rabbit, Redis

WORKERS = 2


def main(minutes: float) -> int:
    """Run for so many minutes; 0 if nothing was lost."""
    seed = int(os.environ.get("MENOS_FAULT_SEED") or random.randrange(10**6))
    print(f"seed {seed}, {minutes:g} minutes", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        rabbit, redis = Rabbit(home / "rabbit"), Redis(home / "redis")
        fleet = None
        try:
            redis.start()
            rabbit.start()
            fleet = Fleet(rabbit, redis, home / "faults", _environment(home), seed)
            return _soak(fleet, minutes)
        finally:
            if fleet is not None:
                fleet.stop()
            rabbit.kill()
            redis.kill()


def _soak(fleet: Fleet, minutes: float) -> int:
    for _ in range(WORKERS):
        fleet.start_worker()
    end, told = time.monotonic() + 60 * minutes, time.monotonic()
    with fleet.load(pause=0.03):
        while time.monotonic() < end:
            time.sleep(fleet.random.uniform(2, 6))
            fault = fleet.random.choice(FAULTS)
            print(f"{fault.__name__.strip('_').replace('_', ' ')}", flush=True)
            fault(fleet)
            if time.monotonic() - told > 60:
                told = time.monotonic()
                print(f"accepted {len(fleet.accepted)} of {fleet.attempted}", flush=True)
    counters = fleet.settle(180)
    print(counters, flush=True)
    if not counters.good:
        print(fleet.log(), file=sys.stderr)
    return 0 if counters.good else 1


def _kill_a_worker(fleet: Fleet) -> None:
    worker = fleet.random.choice([w for w in fleet.workers if w.poll() is None])
    fleet.kill(worker)
    fleet.start_worker()


def _restart_a_worker(fleet: Fleet) -> None:
    worker = fleet.random.choice([w for w in fleet.workers if w.poll() is None])
    worker.terminate()
    worker.wait(90)
    fleet.start_worker()


def _kill_a_child(fleet: Fleet) -> None:
    worker = fleet.random.choice([w for w in fleet.workers if w.poll() is None])
    for child in fleet.children(worker)[:1]:
        os.kill(child, signal.SIGKILL)


def _kill_the_broker(fleet: Fleet) -> None:
    fleet.rabbit.kill()
    time.sleep(fleet.random.uniform(0, 3))
    fleet.rabbit.start()


def _kill_the_store(fleet: Fleet) -> None:
    fleet.redis.kill()
    time.sleep(fleet.random.uniform(0, 5))
    fleet.redis.start()


def _cut_connections(fleet: Fleet) -> None:
    fleet.rabbit.control("close_all_connections", "cut by a test")


def _hang(fleet: Fleet) -> None:
    service = fleet.random.choice([fleet.rabbit, fleet.redis])
    service.signal(signal.SIGSTOP)
    time.sleep(fleet.random.uniform(1, 4))
    service.signal(signal.SIGCONT)


def _raise_a_memory_alarm(fleet: Fleet) -> None:
    fleet.rabbit.control("set_vm_memory_high_watermark", "0.00001")
    time.sleep(fleet.random.uniform(1, 5))
    fleet.rabbit.control("set_vm_memory_high_watermark", "0.6")


FAULTS: list[Callable[[Fleet], None]] = [
    _kill_a_worker,
    _restart_a_worker,
    _kill_a_child,
    _kill_the_broker,
    _kill_the_store,
    _cut_connections,
    _hang,
    _raise_a_memory_alarm,
]


def _environment(home: Path) -> dict[str, str]:
    """Without any setting of the caller's, and with the plugin, as pip would have left it."""
    site = home / "site"
    info = site / "menos_fault-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "menos_fault.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: menos-fault\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[menos_bus]\nfault = menos_fault\n")
    env = {name: value for name, value in os.environ.items() if not name.startswith("MENOS_")}
    return {**env, "PYTHONPATH": str(site), "MENOS_HOME": str(home / "home")}


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 30))
