"""The plugins' tasks leave what one run leaves, however often and wherever a run was cut off."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from kombu import Connection

from conftest import BROKER, REDIS
from forked import Command
from menos_bus import Bus, BusSettings
from menos_vault import Vault
from menos_vault.settings import VaultSettings
from running import poll

TEXT = "\n\n".join(
    f"## Part {part}\n\nPart {part} of the handbook tells of topic number {part}, at length, "
    "so that there is time to be killed while it is embedded and written into the vault."
    for part in range(60)
)


@pytest.fixture
def fleet_of_the_vault(services, clean_env):
    """Settings of a fleet with the plugins that store and find texts."""
    env = {
        **clean_env,
        "MENOS_BROKER_URL": BROKER,
        "MENOS_RESULT_BACKEND": f"redis://{REDIS}/9",
        "MENOS_PLUGINS": "content,search",
        "MENOS_DELIVERY_LIMIT": "20",
    }
    yield env
    with Connection(BROKER) as connection:
        for plugin in ("content", "search"):
            for suffix in ("", ".priority", ".dead"):
                connection.default_channel.queue_delete(plugin + suffix)


def serve(env):
    return Command("worker", "--concurrency", "1", env=env, own_session=True)


def kill(worker):
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait(20)


def test_of_calls_that_were_cut_off_and_delivered_again_each_has_one_effect(fleet_of_the_vault):
    env = fleet_of_the_vault
    names = ("broker_url", "result_backend")
    bus = Bus(BusSettings.load(**{name: env[f"MENOS_{name.upper()}"] for name in names}), [])
    worker = serve(env)

    def run(task, **kwargs):
        return bus.submit(task, (), kwargs)

    def ended(task_id):
        outcome = bus.outcome(task_id)
        return outcome if outcome.ready else None

    def killed_when(condition, seconds=60):
        nonlocal worker
        poll(condition, seconds, "the moment to kill")
        kill(worker)
        worker = serve(env)

    try:
        stores = [
            run("tasks.store_content", text=f"{TEXT} {n % 2}", title="t", resource_key=f"k{n % 2}")
            for n in range(12)
        ]
        stores += [run("tasks.store_content", text=f"{TEXT} 2", title="no key") for _ in range(2)]
        killed_when(lambda: ended(stores[3]))
        killed_when(lambda: ended(stores[8]))
        ids = {poll(lambda i=i: ended(i), 90).result["content_id"] for i in stores}
        jobs = [run("tasks.process_content", content_id=i) for i in sorted(ids) for _ in range(2)]
        for job in (jobs[0], jobs[2]):
            killed_when(lambda job=job: bus.outcome(job).state == "PROGRESS" or ended(job))
        outcomes = [poll(lambda i=i: ended(i), 120) for i in jobs]
        search = run("tasks.semantic_search", query="topic number 7")
        found = poll(lambda: ended(search), 60)
    finally:
        worker.terminate()
        worker.wait(60)
        bus.app.close()

    assert {outcome.state for outcome in outcomes} == {"SUCCESS"}
    assert found.result["results"]
    with Vault(VaultSettings(home=Path(env["MENOS_HOME"]))) as vault:
        contents = vault.records.list_contents()
        assert {content.id for content in contents} == ids
        # Without a key, title and text are the key.
        assert len(contents) == len(ids) == 3
        counts = {len(vault.records.chunks(content.id)) for content in contents}
        assert len(counts) == 1, "the same text has the same number of passages"
        assert vault.records.counts().chunks == len(contents) * counts.pop()
