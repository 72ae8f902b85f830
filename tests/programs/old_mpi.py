"""A communicator that knows no persistent collectives, like those of an MPI before MPI-4."""

from mpi4py import MPI

from netac.comm.waiting import patient


def missing(*arguments):
    """What mpi4py does when it was compiled with an older MPI."""
    raise NotImplementedError


class OldGraph(MPI.Distgraphcomm):
    """A neighbourhood communicator without persistent collectives."""

    Neighbor_allgather_init = Neighbor_allgatherv_init = Neighbor_alltoallv_init = missing


class OldComm(type(patient(MPI.COMM_SELF))):
    """A communicator without persistent collectives."""

    Allgather_init = Allgatherv_init = missing

    def Create_dist_graph_adjacent(self, *arguments, **options):  # noqa: N802
        return OldGraph(super().Create_dist_graph_adjacent(*arguments, **options))


def communicator():
    """The launch's, and this process's own, without persistent collectives."""
    MPI.COMM_SELF = OldComm(MPI.COMM_SELF)
    return OldComm(MPI.COMM_WORLD)
