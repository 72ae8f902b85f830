"""A condition of the network of one's own: in rush hours an agent hears only some of its neighbours."""

import numpy as np

import netac
from netac.comm.exchange import Phase


class RushHour(netac.Condition):
    """In the second half of every `day` iterations each agent hears `most` neighbours at most."""

    phase, columns = Phase.LINK, ("lost",)          # it decides what arrives, and counts what does not
    notes = ("in rush hours messages get lost in one direction alone: the mean of what is mixed drifts",)

    def __init__(self, day: int = 100, most: int = 1):
        self.day, self.most = day, most

    def arrive(self, exchange: netac.Exchange) -> None:
        """Of the links of each hearer those with the `most` smallest draws bring something."""
        if 2 * (exchange.t % self.day) < self.day:
            return
        hearer = exchange.links.hearer                                # ascending
        order = np.lexsort((exchange.uniforms(), hearer))             # draws of (seed, t, link): the same for every p
        place = np.empty(len(order), dtype=int)
        place[order] = np.arange(len(order)) - np.searchsorted(hearer, hearer)
        exchange.count_links("lost", exchange.arrived & (place >= self.most))
        exchange.arrived &= place < self.most
