#!/usr/bin/env bash
# Launches netac under whatever MPI there is: one MPI process per agent, one thread per process.
set -euo pipefail

readonly me=run_mpi.sh
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly threads="OMP_NUM_THREADS OPENBLAS_NUM_THREADS MKL_NUM_THREADS VECLIB_MAXIMUM_THREADS NUMEXPR_NUM_THREADS"

usage() {
    cat <<EOF
Usage: $me -n N [--hostfile HOSTS] [--verbose] [--dry-run] FILE [ARGUMENT ...]

Launches N MPI processes of \`netac run FILE ARGUMENT ...\`; agents are dealt to them in contiguous blocks, so
N = number of agents gives one process per agent. A FILE ending in .py is run as a Python script instead.

  -n, --np N          how many MPI processes
  --hostfile HOSTS    the hosts to use, in the MPI's own format ("host slots=8" for Open MPI, "host:8" for MPICH
                      and Intel MPI); netac must be installed in the same place on each of them
  --verbose           also say which rank holds which agents, and leave the MPI's own messages as they are
  --dry-run           print the command instead of running it
  -h, --help          this text

The MPI is \$MPIRUN if that is set, else mpirun or mpiexec on PATH (the environment in .venv beside this script comes
first unless another one that has netac is active). Open MPI, MPICH and Intel MPI get the flags they need: more
processes than cores, running as root, variables for remote hosts. The exit status is the run's own: 0 success,
1 a failure while running, 2 bad input; others are the MPI's.

Examples:
  ./$me -n 8 examples/coordination.toml --set agents=8
  ./$me -n 8 --hostfile hosts examples/coordination.toml --resume
EOF
}

say() { printf '%s: %s\n' "$me" "$*" >&2; }
fail() { say "$@"; exit 2; }
quoted() { local text; text=$(printf '%q ' "$@"); printf '%s\n' "${text% }"; }

# Sets ranks, hostfile, verbose, dry_run, file and arguments from the command line.
parse() {
    ranks="" hostfile="" verbose=no dry_run=no
    while [ $# -gt 0 ]; do
        case $1 in
            -h | --help) usage; exit 0 ;;
            -n | -np | --np | --hostfile)
                [ $# -ge 2 ] || fail "$1 needs a value (see $me --help)"
                if [ "$1" = --hostfile ]; then hostfile=$2; else ranks=$2; fi
                shift ;;
            --np=*) ranks=${1#*=} ;;
            --hostfile=*) hostfile=${1#*=} ;;
            --verbose) verbose=yes ;;
            --dry-run) dry_run=yes ;;
            -*) fail "unknown option $1; options of \`netac run\` go after the experiment file (see $me --help)" ;;
            *) break ;;
        esac
        shift
    done
    [ -n "$ranks" ] || fail "how many processes? give -n N, for example: $me -n 8 examples/coordination.toml"
    [[ $ranks =~ ^[1-9][0-9]{0,6}$ ]] || fail "-n: must be a whole number from 1 to 9999999 (found '$ranks')"
    [ $# -gt 0 ] || fail "no experiment file given, for example: $me -n $ranks examples/coordination.toml"
    [ -f "$1" ] || fail "no such experiment file: $1"
    [ -z "$hostfile" ] || [ -f "$hostfile" ] || fail "--hostfile: no such file: $hostfile"
    file=$1
    shift
    arguments=("$@")
}

# Puts the .venv beside this script first on PATH unless another environment that has netac is active.
choose_environment() {
    [ -x "$here/.venv/bin/python" ] || return 0
    if [ -z "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ] || ! command -v netac > /dev/null; then
        PATH="$here/.venv/bin:$PATH"
    fi
}

find_python() {
    python=$(command -v python3 || command -v python) || fail "no python3 on PATH"
    local missing
    missing=$("$python" -c 'from importlib.util import find_spec
print(*(name for name in ("netac", "numpy", "mpi4py") if find_spec(name) is None))') || fail "$python does not work"
    [ -z "$missing" ] || fail "$python lacks: $missing; run \`make venv\` here, or: pip install \"netac[mpi]\""
}

# Sets launcher, its family (open-mpi-4, open-mpi-5, mpich, intel, unknown) and a title to show.
find_launcher() {
    launcher=${MPIRUN:-$(command -v mpirun || command -v mpiexec || true)}
    [ -n "$launcher" ] || fail "no MPI found: neither mpirun nor mpiexec is on PATH; install one with:" \
        "pip install \"netac[mpi]\" (or name your own: MPIRUN=/path/to/mpirun)"
    command -v "$launcher" > /dev/null || fail "MPIRUN: cannot run $launcher"
    case $launcher in */*) PATH="$(dirname "$launcher"):$PATH" ;; esac # Intel's mpirun looks for its parts on PATH
    local version
    version=$("$launcher" --version 2>&1 < /dev/null || true)
    if [[ $version =~ (Open\ MPI|OpenRTE|PRRTE)\)?\ +([0-9]+)[0-9a-z.]* ]]; then
        title="Open MPI ${BASH_REMATCH[0]##* }"
        if [ "${BASH_REMATCH[2]}" -ge 5 ]; then family=open-mpi-5; else family=open-mpi-4; fi
    elif [[ $version == *"Intel(R) MPI"* ]]; then
        title="Intel MPI" family=intel
    elif [[ $version == *HYDRA* || $version == *MPICH* || $version == *mpich* ]]; then
        title="MPICH" family=mpich
    else
        title="an MPI unknown to $me" family=unknown
    fi
}

# How many processes the hostfile or the Slurm job grants, else how many cores this machine has; 0: unknown.
count_cores() {
    if [ -n "$hostfile" ]; then
        awk '/^[ \t]*(#|$)/ { next }
             match($0, /(slots *= *|:)[0-9]+/) { count = substr($0, RSTART, RLENGTH); gsub(/[^0-9]/, "", count)
                                                 total += count; next }
             { unknown = 1 }
             END { print unknown ? 0 : total + 0 }' "$hostfile"
    elif [ -n "${SLURM_NTASKS:-}" ]; then
        echo "$SLURM_NTASKS"
    else
        { env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc || sysctl -n hw.ncpu || echo 1
          lscpu -p=Core,Socket | grep -v '^#' | sort -u | wc -l; } 2> /dev/null |
            sort -n | awk '$1 > 0 { print $1; exit }'
    fi
}

# Appends NAME=VALUE to the launcher's flags in a way that reaches remote hosts too.
pass_variable() {
    export "$1=$2"
    case $family in
        open-mpi-*) flags+=(-x "$1=$2") ;;
        mpich | intel) flags+=(-genv "$1" "$2") ;;
    esac
}

# Sets flags: what this MPI needs for this many processes.
#
# Open MPI counts slots and refuses root; it yields the processor by itself once a node is oversubscribed. MPICH and
# Intel MPI start any number of processes and need no flag (measured: Intel's I_MPI_PIN=0 makes 8 ranks on 2 cores
# fifty times slower).
build_flags() {
    flags=(-n "$ranks")
    cores=$(count_cores)
    case $family in
        open-mpi-*)
            [ "$EUID" -ne 0 ] || flags+=(--allow-run-as-root)
            if [ "$ranks" -gt "$cores" ]; then
                if [ "$family" = open-mpi-5 ]; then flags+=(--map-by :OVERSUBSCRIBE); else flags+=(--oversubscribe); fi
                flags+=(--bind-to none)
            fi
            [ -z "$hostfile" ] || flags+=(--hostfile "$hostfile") ;;
        mpich) [ -z "$hostfile" ] || flags+=(-f "$hostfile") ;;
        *) [ -z "$hostfile" ] || flags+=(-machinefile "$hostfile") ;;
    esac
    local name
    for name in $threads NETAC_MPI; do pass_variable "$name" 1; done
    [ -z "${PYTHONPATH:-}" ] || pass_variable PYTHONPATH "$PYTHONPATH"
}

# Copies standard input to standard output as it arrives, unfinished lines (progress bars) included. The blocks
# between two rules in which a launcher reports a dead rank go to the file $1 instead: `explain` says them in a line.
sieve() {
    local LC_ALL=C status line text="" block="" shown=no waits=0
    if [ "$verbose" = yes ] || [ "${BASH_VERSINFO[0]}" -lt 4 ]; then
        tee -a "$1"
        return
    fi
    while :; do
        status=0
        IFS= read -r -t 0.2 line || status=$?
        text+=$line
        if [ "$status" -gt 128 ]; then # nothing more for now
            waits=$((waits + 1))
            if [ -n "$block" ] && [ "$waits" -gt 5 ]; then printf '%s' "$block"; block=""; fi
            if [ -z "$block" ] && [[ -n $text && ! $text =~ ^[-=]+$ ]]; then printf '%s' "$text"; text="" shown=yes; fi
            continue
        fi
        [ "$status" -eq 0 ] || break
        waits=0
        if [[ $shown = no && $text =~ ^(-{60,}|={60,})$ ]]; then
            if [ -z "$block" ]; then block=$text$'\n'; else sort_block "$1" "$block$text"; block=""; fi
        elif [ -n "$block" ]; then
            block+=$text$'\n'
        else
            sort_line "$1" "$text"
        fi
        text="" shown=no
    done
    printf '%s' "$block$text"
}

sort_block() {
    case $2 in
        *"exited on"*signal* | *"MPI_ABORT was invoked"* | *"exited due to process rank"* | *"non-zero status"* | \
            *"non-zero exit code"* | *"BAD TERMINATION"*) printf '%s\n' "$2" >> "$1" ;;
        *) printf '%s\n' "$2" ;;
    esac
}

sort_line() {
    case $2 in
        "YOUR APPLICATION TERMINATED WITH"* | "Abort("*") on node "*) printf '%s\n' "$2" >> "$1" ;;
        "This typically refers to a problem with your application."* | \
            "Please see the FAQ page for debugging suggestions"*) ;;
        *) printf '%s\n' "$2" ;;
    esac
}

# "rank 3 (agents 6-8)": as process 0 wrote it to the placement file, or the rank alone where that is missing.
rank_and_agents() {
    local agents
    agents=$(sed -n "s/^netac: rank $1 .* agents //p" "$scratch/placement" 2> /dev/null | head -n 1 || true)
    printf 'rank %s%s' "$1" "${agents:+ (agents $agents)}"
}

resume_hint() {
    [[ $file != *.py ]] || return 0
    local again=("$0" -n "$ranks")
    [ -z "$hostfile" ] || again+=(--hostfile "$hostfile")
    again+=("$file" ${arguments[@]+"${arguments[@]}"})
    [[ " ${arguments[*]-} " == *" --resume "* ]] || again+=(--resume)
    printf '; resume with: %s' "$(quoted "${again[@]}")"
}

# Says in one line which agents ended the launch that ended with status $1.
explain() {
    local text signal='rank ([0-9]+) with PID [0-9]+ on node [^ ]+ exited on signal ([0-9]+)' \
        abort='(MPI_ABORT was invoked on rank|Abort\([0-9]+\) on node [0-9]+ \(rank) ([0-9]+)' \
        quit='Process name: \[+[^ ]*,([0-9]+)\] Exit code: ([0-9]+)' \
        hydra='BAD TERMINATION.*(EXIT STRING: [^(]*\(signal |KILLED BY SIGNAL: )([0-9]+)'
    text=$(cat "$scratch"/*.log | tail -c 20000 | tr -s '[:space:]' ' ')
    if [[ $text =~ $signal ]]; then
        say "$(rank_and_agents "${BASH_REMATCH[1]}") was killed by signal ${BASH_REMATCH[2]}$(resume_hint)"
    elif [[ $text =~ $abort ]]; then
        say "$(rank_and_agents "${BASH_REMATCH[2]}") ended the launch"
    elif [[ $text =~ $quit ]]; then
        local code=${BASH_REMATCH[2]}
        [ "$code" -eq 2 ] || say "$(rank_and_agents "${BASH_REMATCH[1]}") ended with status $code"
    elif [[ $text =~ $hydra ]]; then
        say "a rank was killed by signal ${BASH_REMATCH[2]} ($title does not say which)$(resume_hint)"
    elif [ "$1" -gt 2 ]; then
        say "the launcher ended with status $1"
    fi
}

# How wide the terminal on standard error is.
columns() { stty size <&2 2> /dev/null | awk '{ width = $2 } END { print (width > 0 ? width : 80) }'; }

# Runs the command, passing signals on to it, and ends with its status.
launch() {
    local status=0 signal="" sieves=() name
    scratch=$(mktemp -d "${TMPDIR:-/tmp}/netac-launch.XXXXXX")
    trap 'rm -rf "$scratch"' EXIT
    mkfifo "$scratch/out" "$scratch/err"
    touch "$scratch/err.log"
    (trap '' INT TERM HUP; sieve "$scratch/err.log" < "$scratch/err" >&2) &
    sieves+=($!)
    if [ "$family" = mpich ] || [ "$family" = intel ]; then # they report dead ranks on standard output
        (trap '' INT TERM HUP; sieve "$scratch/out.log" < "$scratch/out") &
        sieves+=($!)
        exec 3> "$scratch/out"
    else
        exec 3>&1
    fi
    pass_variable NETAC_PLACEMENT_FILE "$scratch/placement"
    if [ -t 2 ]; then pass_variable NETAC_TERMINAL "$(columns)"; fi # ranks see a pipe: netac draws its bar all the same
    set -m # a process group of its own: some launchers are scripts, and a signal must reach what they started
    "$launcher" "${flags[@]}" "${program[@]}" < /dev/null >&3 3>&- 2> "$scratch/err" &
    local child=$!
    set +m
    exec 3>&-
    for name in INT TERM HUP; do trap "signal=$name; kill -TERM -- -$child 2> /dev/null || true" "$name"; done
    while :; do # a trapped signal ends `wait` early
        status=0
        wait "$child" || status=$?
        kill -0 "$child" 2> /dev/null || break
    done
    wait "${sieves[@]}" || true
    if [ -n "$signal" ]; then
        say "stopped by SIG$signal$(resume_hint)"
        exit $((128 + $(kill -l "$signal")))
    fi
    [ "$status" -eq 0 ] || explain "$status"
    exit "$status"
}

parse "$@"
choose_environment
find_launcher
find_python
build_flags
case $file in
    *.py) program=("$python" "$file" ${arguments[@]+"${arguments[@]}"}) ;;
    *) program=("$python" -m netac run "$file" ${arguments[@]+"${arguments[@]}"}) ;;
esac
if [ "$verbose" = yes ] && [[ $file != *.py ]]; then program+=(--verbose); fi
if [ "$dry_run" = yes ]; then
    quoted "$launcher" "${flags[@]}" "${program[@]}"
    exit 0
fi
[ "$cores" -gt 0 ] && place="$cores cores" || place="the hosts of $hostfile"
say "$title, $ranks processes on $place: $(quoted "$launcher" "${flags[@]}" "${program[@]}")"
launch
