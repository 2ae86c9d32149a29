"""The controller's loop: look at what runs and what is wanted, and do what brings them together."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from gristmill.control import records, rollouts
from gristmill.control.daily import Daily
from gristmill.control.gateways import Gateways
from gristmill.control.idle_capacity import IdleCapacity
from gristmill.control.leases import Leases
from gristmill.control.platform import Platform
from gristmill.control.replicas import Replicas
from gristmill.control.rollouts import Action, Scene
from gristmill.control.scheduler import Scheduler
from gristmill.control.shipper import Shipper
from gristmill.control.state import Endpoint
from gristmill.core.faults import fault_point
from gristmill.engines.protocol import Engine

logger = logging.getLogger(__name__)
_CALM_S = 5.0  # between two looks at everything while nothing moves: each costs 5 ms and more
REPLICAS_GO_WITHIN_S = 10.0  # once no gateway is left, all that was asked is answered
_before_act = fault_point("controller.before-act")
_after_act = fault_point("controller.after-act")


class Controller:
    def __init__(self, platform: Platform, engine: Engine) -> None:
        self._platform = platform
        platform.settings.sockets.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._gateways = Gateways(platform, engine)
        self._replicas = Replicas(platform, engine)
        self._scheduler = Scheduler(platform, engine)
        self._leases = Leases(platform)
        self._shipper = Shipper(platform, self._gateways, self._leases)
        self._daily = Daily(platform)
        self._idle_capacity = IdleCapacity(platform)
        self._calm = False  # after the last look: nothing moves and nothing is missing

    def run(self) -> None:
        """Until the platform is told to stop, and everything has ended."""
        self._leases.start()
        self._shipper.start()
        self._platform.observed.inference_url = self._gateways.url
        while not self._platform.stopping.is_set():
            self._calm = False
            self._safely(self.step)
            self._rest()
        self._stop()

    def step(self) -> None:
        """One look at everything. An old replica drains only once the gateways route to its successor, and gets its
        SIGTERM only once they no longer route to it: what changes in this step waits for the push of the next."""
        self._gateways.step()
        pushed = self._gateways.push()
        decided = [(endpoint, action) for endpoint, actions in self._decisions(pushed) for action in actions]
        for endpoint, action in decided:
            self._act(endpoint, action)
        self._replicas.step(pushed and not decided)
        self._scheduler.step()
        self._safely(self._daily.step)
        self._safely(self._idle_capacity.step)
        self._observe()
        parts = self._gateways, self._replicas, self._scheduler
        self._calm = pushed and not decided and all(part.calm() for part in parts)

    def _rest(self) -> None:
        """Until something is to be done. What is wanted wakes at once; where all is as wanted, only whether it still
        lives is looked at every time, and the database now and then (a rate may begin to hold, a period be full)."""
        interval_s = self._platform.settings.reconcile_interval_s
        until = time.monotonic() + (_CALM_S if self._calm else 0.0)
        while not self._platform.woken.wait(interval_s) and time.monotonic() < until:
            if not (self._gateways.calm() and self._replicas.calm()):
                break
            self._observe()
        self._platform.woken.clear()

    def _safely(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception:  # a bug must not end the watch over everything else; the log has it
            logger.exception("a step failed, the next one goes on")

    def _observe(self) -> None:
        observed = self._platform.observed
        observed.gateways = self._gateways.documents()
        observed.grpc_address = self._gateways.grpc_address
        ready = all(gateway["state"] == "ready" for gateway in observed.gateways)
        observed.state = "ready" if ready and self._gateways.pushed else "starting"

    def _decisions(self, pushed: bool) -> list[tuple[Endpoint, list[Action]]]:
        with self._platform.database.read() as connection:
            return [
                (found, rollouts.plan(self._scene(connection, found, pushed)))
                for found in records.all_endpoints(connection)
            ]

    def _scene(self, connection: records.Connection, found: Endpoint, pushed: bool) -> Scene:
        rollout = records.newest_rollout(connection, found.tenant, found.name)
        live = records.live_replicas(connection, found.tenant, found.name)
        failed = records.failed_replicas(connection, found, found.target.model, found.changed_at)
        return Scene(found, rollout, live, failed, self._platform.clock.now(), pushed)

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
            failed = action.act == "fail"
            values: dict[str, object] = {"state": "failed" if failed else "ready"}
            if failed and found.previous is not None:  # what served before goes on serving
                values |= {"spec": found.previous, "previous": None}
            if not records.change_endpoint(connection, found, **values):
                return  # somebody changed it since it was looked at: the next step sees what is wanted now
            if action.act == "remove":
                records.remove_endpoint(connection, found)
            elif action.act != "settle":
                rollout = records.newest_rollout(connection, found.tenant, found.name)
                if rollout is not None and rollout.generation == found.generation:
                    state = "failed" if failed else "succeeded"
                    records.update_rollout(connection, rollout.id, state=state, error=action.reason, ended_at=now)

    def _stop(self) -> None:
        """Gateways drain while runs save their checkpoints; replicas go when nobody asks them any more."""
        self._platform.observed.state = "stopping"
        self._gateways.terminate()
        self._safely(self._scheduler.drain)
        self._until(self._gateways.gone, self._platform.settings.drain_timeout_s, self._gateways.kill)
        self._safely(self._replicas.terminate)
        self._until(self._replicas_gone, REPLICAS_GO_WITHIN_S, self._replicas.kill)
        self._safely(lambda: self._replicas.step(pushed=True))
        self._leases.stop()
        self._shipper.stop()
        logger.info("stopped")

    def _replicas_gone(self) -> bool:
        self._safely(lambda: self._replicas.step(pushed=True))
        return self._replicas.gone()

    def _until(self, gone: Callable[[], bool], within_s: float, kill: Callable[[], None]) -> None:
        deadline = time.monotonic() + within_s
        while not gone():
            if time.monotonic() > deadline:
                kill()
                return
            time.sleep(0.05)
