"""The programs netac is measured against: NumPy and mpi4py only, nothing of netac."""
