"""Which quotas exist, and which plugin each is from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from menos_bus.alike import did_you_mean
from menos_bus.errors import PluginError, UnknownQuota
from menos_bus.quota.quota import Quota


class Quotas(Mapping[str, Quota]):
    """All quotas of the loaded plugins, by name.

    Args:
        state_of: the state of a plugin that is not loaded, ``None`` of any other.
    """

    def __init__(self, state_of: Callable[[str], str | None] = lambda plugin: None) -> None:
        self._quotas: dict[str, Quota] = {}
        self._state_of = state_of

    def add(self, plugin: str, quotas: list[Quota]) -> None:
        """Take all quotas of one plugin, or none.

        Raises:
            PluginError: something is no quota, or has a name that is not this plugin's to give.
        """
        names = []
        for quota in quotas:
            if not isinstance(quota, Quota):
                raise PluginError(f"register_quotas: {quota!r} is no menos_bus.Quota")
            if quota.name.partition(".")[0] != plugin:
                raise PluginError(
                    f"quota {quota.name!r}: must be {plugin!r} or begin with '{plugin}.'"
                )
            if quota.name in names:
                raise PluginError(f"registers the quota {quota.name!r} twice")
            names.append(quota.name)
        self._quotas.update({quota.name: quota for quota in quotas})

    def remove(self, plugin: str) -> None:
        """Drop all quotas of a plugin."""
        self._quotas = {
            name: quota for name, quota in self._quotas.items() if name.partition(".")[0] != plugin
        }

    def __getitem__(self, name: str) -> Quota:
        """The quota of that name.

        Raises:
            UnknownQuota: lists what there is.
        """
        try:
            return self._quotas[name]
        except KeyError:
            plugin = name.partition(".")[0]
            if (state := self._state_of(plugin)) is not None:
                why = f"the plugin {plugin!r} is {state}, `menos-bus plugins` says why"
                raise UnknownQuota(f"unknown quota {name!r}: {why}") from None
            known = ", ".join(self) or "none: no loaded plugin declares one"
            meant = did_you_mean(name, self._quotas)
            raise UnknownQuota(f"unknown quota {name!r}{meant} (known: {known})") from None

    def __contains__(self, name: object) -> bool:
        return name in self._quotas

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._quotas))

    def __len__(self) -> int:
        return len(self._quotas)

    def get(self, name: str, default: Any = None) -> Any:
        """The quota of that name, or ``default``."""
        return self._quotas.get(name, default)
