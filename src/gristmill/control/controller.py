"""The controller's loop: look at what runs and what is wanted, and do what brings them together."""

from __future__ import annotations

import logging
import time

from gristmill.control import records, rollouts
from gristmill.control.gateways import Gateways
from gristmill.control.platform import Platform
from gristmill.control.replicas import Replicas
from gristmill.control.rollouts import Action, Scene
from gristmill.control.scheduler import Scheduler
from gristmill.control.shipper import Shipper
from gristmill.control.state import Endpoint
from gristmill.core.errors import GristmillError
from gristmill.core.faults import fault_point
from gristmill.engines.protocol import Engine

logger = logging.getLogger(__name__)
_before_act = fault_point("controller.before-act")
_after_act = fault_point("controller.after-act")


class Controller:
    def __init__(self, platform: Platform, engine: Engine) -> None:
        self._platform = platform
        platform.settings.sockets.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._gateways = Gateways(platform, engine)
        self._replicas = Replicas(platform, engine)
        self._scheduler = Scheduler(platform, engine)
        self._shipper = Shipper(platform, self._gateways)

    def run(self) -> None:
        """Until the platform is told to stop, and everything has ended."""
        self._shipper.start()
        self._platform.observed.inference_url = self._gateways.url
        while not self._platform.stopping.is_set():
            self._safely()
            self._platform.woken.wait(self._platform.settings.reconcile_interval_s)
            self._platform.woken.clear()
        self._stop()

    def step(self) -> None:
        """One look at everything."""
        pushed = self._gateways.push()
        self._gateways.step()
        self._replicas.step(pushed)
        for endpoint, actions in self._decisions():
            for action in actions:
                self._act(endpoint, action)
        self._scheduler.step()
        self._observe()

    def _safely(self) -> None:
        try:
            self.step()
        except GristmillError as error:
            logger.exception("a step failed, the next one goes on: %s", error.message)
        except Exception:  # a bug must not end the watch over everything else; the log has it
            logger.exception("a step failed, the next one goes on")

    def _observe(self) -> None:
        observed = self._platform.observed
        observed.gateways = self._gateways.documents()
        ready = all(gateway["state"] == "ready" for gateway in observed.gateways)
        observed.state = "ready" if ready and self._gateways.pushed else "starting"

    def _decisions(self) -> list[tuple[Endpoint, list[Action]]]:
        with self._platform.database.read() as connection:
            return [
                (found, rollouts.plan(self._scene(connection, found))) for found in records.all_endpoints(connection)
            ]

    def _scene(self, connection: records.Connection, found: Endpoint) -> Scene:
        rollout = records.newest_rollout(connection, found.tenant, found.name)
        live = records.live_replicas(connection, found.tenant, found.name)
        failed = records.failed_replicas(connection, found, found.target.model, found.changed_at)
        return Scene(found, rollout, live, failed, self._platform.clock.now())

    def _act(self, found: Endpoint, action: Action) -> None:
        _before_act()
        if action.act == "add":
            self._replicas.add(found)
        elif action.act == "drain" and action.replica is not None:
            self._replicas.drain(action.replica)
        else:
            self._conclude(found, action)
        self._platform.wake()
        _after_act()

    def _conclude(self, found: Endpoint, action: Action) -> None:
        """A rollout's end, or an endpoint's."""
        now = self._platform.clock.now()
        with self._platform.database.write() as connection:
            if action.act == "remove":
                records.remove_endpoint(connection, found)
                return
            if action.act == "settle":
                records.change_endpoint(connection, found, state="ready")
                return
            rollout = records.newest_rollout(connection, found.tenant, found.name)
            failed = action.act == "fail"
            if rollout is not None:
                state = "failed" if failed else "succeeded"
                records.update_rollout(connection, rollout.id, state=state, error=action.reason, ended_at=now)
            if failed and found.previous is not None:  # what served before goes on serving
                records.change_endpoint(connection, found, state="failed", spec=found.previous, previous=None)
            else:
                records.change_endpoint(connection, found, state="failed" if failed else "ready")

    def _stop(self) -> None:
        self._platform.observed.state = "stopping"
        deadline = time.monotonic() + self._platform.settings.drain_timeout_s + 5
        self._gateways.terminate()
        while not self._gateways.gone() and time.monotonic() < deadline:
            time.sleep(0.05)
        self._replicas.terminate()
        self._scheduler.drain()
        while not self._replicas.gone() and time.monotonic() < deadline:
            self._replicas.step(pushed=True)
            time.sleep(0.05)
        self._shipper.stop()
        logger.info("stopped")
